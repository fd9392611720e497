// Heads and trailer sections of HTTP/2 (RFC 9113, section 8) out of fields as they are decoded, and as what
// HTTP/1 has: lines of text and views into them. So all that reads, rewrites or logs a head knows one form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/http/head.h"
#include "src/http/head_search.h"

namespace limpet::http {

// Of one stream; used again for its next head. That names are lower case, that no octet is out of place and
// that nothing is of one connection alone has been seen to before: nghttp2 does.
class H2Head {
 public:
  void begin(const HeadLimits& limits);
  void clear();  // of all that was added, and of memory beyond what most need
  void add(std::string_view name, std::string_view value);  // in the order they came
  // Much more has come than what was told is the most: a few octets on the wire may unpack to megabytes.
  bool is_out_of_bounds() const { return size_ / 4 > limits_.head; }

  // Of a request: it asks for a WebSocket (RFC 8441). As HTTP/1 has it, with this key, from now on.
  bool asks_for_web_socket() const;
  void become_upgrade(std::string_view key);
  // Of an answer: what that request is answered, and takes, is an upgrade's (RFC 6455, section 4.2.2).
  void become_switch(std::string_view accept);

  bool is_success() const { return view(status_).starts_with('2'); }
  bool is_interim() const { return view(status_).starts_with('1'); }

  // What has been added, as views that stay until the next begin(). `has_content`: DATA may follow.
  // A request that is refused is put into `out` as far as a log can tell of it.
  Fault finish_request(bool has_content, RequestHead& out);
  // `to_head`: the request's method was HEAD.
  Fault finish_response(bool to_head, bool has_content, ResponseHead& out);
  Fault finish_trailers(Fields& out);

 private:
  struct Span {
    size_t at = 0, size = 0;
  };
  struct Line {
    Span name, value;
  };
  enum class Which : uint8_t { request, response };

  Span* pseudo(std::string_view name);
  void add_line(std::string_view name, std::string_view value);
  void finish(Fields& out);
  Fault check_authority(RequestHead& request) const;
  std::string_view view(Span span) const { return std::string_view(text_).substr(span.at, span.size); }

  HeadLimits limits_{};
  std::string text_;
  std::string cookies_;  // crumbs, joined (section 8.2.3)
  std::vector<Line> lines_;
  Span method_, scheme_, authority_, path_, protocol_, status_;
  uint64_t size_ = 0;
  Fault fault_;  // it is larger than it may be: nothing more is kept
  bool has_cookies_ = false;
  bool upgrades_ = false;
};

}  // namespace limpet::http
