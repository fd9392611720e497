// HTTP/1 messages out of bytes, with the checks that an intermediary owes its backends (RFC 9112, sections
// 2.2, 3.2, 5.1, 5.2, 6; RFC 9110, section 5.5). A message that two readers could understand in two ways is
// refused, never repaired.
//
// A head is looked for with find_head(), parsed in one piece, and its body, if it has one, then fed as it
// comes. A Parser is used for one message after another.
#pragma once

#include <string_view>

#include "src/http/body_reader.h"
#include "src/http/head.h"
#include "src/http/head_search.h"

namespace limpet::http {

class Parser {
 public:
  Parser() = default;
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  // `head` is what find_head() found; views into it are put into `out`, whose memory is reused.
  Fault parse_request(std::string_view head, const HeadLimits& limits, RequestHead& out);
  // `to_head`: the request's method was HEAD, so that no body follows whatever the fields say.
  Fault parse_response(std::string_view head, const HeadLimits& limits, bool to_head, ResponseHead& out);

  bool body_ended() const { return body_.ended(); }
  size_t feed(std::string_view bytes, BodySink& sink, Fault& fault) { return body_.feed(bytes, sink, fault); }
  bool end_of_stream(BodySink& sink) { return body_.end_of_stream(sink); }

 private:
  BodyReader body_;
};

}  // namespace limpet::http
