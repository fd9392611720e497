// HTTP/1 messages out of bytes: llhttp, and around it the checks that an intermediary owes its backends (RFC
// 9112, sections 2.2, 3.2, 5.1, 5.2, 6; RFC 9110, section 5.5). A message that two readers could understand
// in two ways is refused, never repaired.
//
// A head is looked for with find_head(), parsed in one piece, and its body, if it has one, then fed as it
// comes. llhttp keeps its place between the two; a Parser is used for one message after another.
#pragma once

#include <llhttp.h>

#include <string>
#include <string_view>

#include "src/http/head.h"

namespace limpet::http {

// What a head may be at the most.
struct HeadLimits {
  uint64_t head;    // bytes
  uint64_t target;  // bytes
  uint32_t fields;
};

struct HeadSearch {
  size_t size = 0;  // of the head, with its empty line; 0: not complete yet
  Fault fault;
};

// Looks for the end of a head that begins at bytes[0]. `from` is where the last search of the same, then
// shorter, bytes ended (0 at first) and is moved on. Refuses what llhttp would let pass: lines that end in a
// bare LF, bare CRs, NULs and folded lines.
HeadSearch find_head(std::string_view bytes, size_t& from, const HeadLimits& limits);

// Hears a body.
class BodySink {
 public:
  virtual void on_body(std::string_view piece) = 0;
  virtual void on_body_end(const Fields& trailers) = 0;

 protected:
  ~BodySink() = default;
};

class Parser {
 public:
  Parser() = default;
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  // `head` is what find_head() found; views into it are put into `out`, whose memory is reused.
  Fault parse_request(std::string_view head, const HeadLimits& limits, RequestHead& out);
  // `to_head`: the request's method was HEAD, so that no body follows whatever the fields say.
  Fault parse_response(std::string_view head, const HeadLimits& limits, bool to_head, ResponseHead& out);

  bool body_ended() const { return ended_; }

  // Feeds what follows the head; says how many bytes belonged to the message. Ends early only at the
  // message's end.
  size_t feed(std::string_view bytes, BodySink& sink, Fault& fault);

  // The peer will send no more. True when that ends the body; otherwise the message was cut.
  bool end_of_stream(BodySink& sink);

 private:
  struct Callbacks;
  friend struct Callbacks;

  Fault parse_head(llhttp_type_t type, std::string_view head, const HeadLimits& limits, Fields& fields);

  size_t feed_trailers(std::string_view bytes, BodySink& sink, Fault& fault);

  llhttp_t parser_;
  Fields* fields_ = nullptr;  // while a head is parsed
  BodySink* sink_ = nullptr;  // while a body is fed
  std::string_view name_;
  std::string_view target_;
  std::string trailer_bytes_;   // the trailer section, while it has not come whole
  size_t searched_ = 0;         // how far it has been looked through
  size_t extension_bytes_ = 0;  // of the chunk that begins
  bool bodiless_ = false;
  bool in_trailers_ = false;
  bool ended_ = true;
};

}  // namespace limpet::http
