// Messages for tests of one behaviour each: made of lines, and read as a connection reads them.
#pragma once

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "tests/support/gathered.h"
#include "tests/support/message_check.h"

namespace limpet::test {

using Lines = std::initializer_list<std::string_view>;

inline std::string message(std::string_view first_line, Lines fields, std::string_view body = {}) {
  std::string text = std::string(first_line) + "\r\n";
  for (const std::string_view field : fields) text.append(field).append("\r\n");
  return text.append("\r\n").append(body);
}

// The parser's word on a message that came in one piece. Views into itself: it stays where it was made.
struct Read : Understood {
  explicit Read(const std::string& text, MessageSide side = MessageSide::request,
                const http::HeadLimits& limits = kWideLimits) {
    understand({text}, side, limits, *this);
  }
  Read(const Read&) = delete;
  Read& operator=(const Read&) = delete;
};

// What a request is answered that cannot be served, or 0. A message without an end is a test's mistake.
inline int refusal(const std::string& request, const http::HeadLimits& limits = kWideLimits) {
  const Read read(request, MessageSide::request, limits);
  REQUIRE((read.fault || read.has_head));
  return read.fault.status;
}

}  // namespace limpet::test
