// A message's body out of the bytes behind its head (RFC 9112, sections 6.3 and 7.1). What a chunk's line, or
// a trailer section, could say in two ways is refused.
#pragma once

#include <string>
#include <string_view>

#include "src/http/head.h"

namespace limpet::http {

// Hears a body.
class BodySink {
 public:
  virtual void on_body(std::string_view piece) = 0;
  virtual void on_body_end(const Fields& trailers) = 0;

 protected:
  ~BodySink() = default;
};

// Keeps its place between pieces; reads one body after another.
class BodyReader {
 public:
  void begin(const Body& body);
  bool ended() const { return place_ == Place::ended; }

  // Says how many bytes belonged to the body; ends early only at its end. Nothing may be fed after a fault.
  size_t feed(std::string_view bytes, BodySink& sink, Fault& fault);

  // The peer will send no more. True when that ends the body; otherwise the message was cut.
  bool end_of_stream(BodySink& sink);

 private:
  // Where the next octet stands.
  enum class Place : uint8_t {
    ended,
    length,       // in a body that says its length
    until_close,  // in one that says nothing
    chunk,        // in a chunk's data
    trailers,
    size,         // in a chunk's line, from here on
    after_part,   // behind the size or an extension
    before_name,  // of an extension
    name,
    after_name,
    before_value,
    token,
    quoted,
    escaped,
    line_feed,
    data_end,  // the line end behind a chunk's data
    data_line_feed
  };

  size_t feed_data(std::string_view bytes, BodySink& sink);
  size_t feed_line(std::string_view bytes, Fault& fault);
  size_t feed_trailers(std::string_view bytes, BodySink& sink, Fault& fault);
  bool step(char octet);
  bool step_in_size(char octet);
  bool step_after_part(char octet);
  void begin_chunk();

  std::string trailer_bytes_;   // the trailer section, while it has not come whole
  size_t searched_ = 0;         // how far it has been looked through
  uint64_t left_ = 0;           // bytes, of the body or of the chunk
  size_t extension_bytes_ = 0;  // of all chunks so far, beyond what their data paid for
  uint8_t digits_ = 0;          // of the chunk's size
  Place place_ = Place::ended;
};

}  // namespace limpet::http
