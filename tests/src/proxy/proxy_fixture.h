// The stage for tests of one behaviour each: what every test wants to hold is held at its end.
#pragma once

#include <doctest/doctest.h>

#include "tests/support/stage.h"

namespace limpet::test {

using Kind = conf::AffinityKind;

// Requests and answers of the least that is needed.
inline constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
inline constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct Proxy : Stage {
  explicit Proxy(size_t backends = 1, std::vector<Kind> affinity = {Kind::ip})
      : Proxy(settings_of(backends, std::move(affinity))) {}
  explicit Proxy(conf::Settings given, AccessLogBuffer* log = nullptr) : Stage(std::move(given), log) {
    net.after_event = [this] {
      if (!context().to_client.empty()) net.note("bytes for a client were gathered and not sent");
      if (!context().to_backend.empty()) net.note("bytes for a backend were gathered and not sent");
    };
  }
  ~Proxy() override {
    stop();
    CHECK(net.fault == "");
    CHECK(books() == "");
  }

  FakeStream& dialed(size_t index) {
    REQUIRE(index < net.dials());
    return net.dialed(index);
  }
  // Dialled as the index-th, and connected.
  FakeStream& backend(size_t index = 0) {
    FakeStream& stream = dialed(index);
    stream.connect();
    return stream;
  }
};

inline size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}
inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace limpet::test
