#include "src/http/parser.h"

#include <algorithm>
#include <cstring>

#include "src/http/framing.h"
#include "src/http/target.h"

namespace limpet::http {

namespace {

// Extensions that a peer may send with one chunk, and trailers after the last. They are all but unused;
// unbounded ones would make a reader work, or remember, for nothing.
constexpr size_t kMostChunkExtension = 4 * 1024;
constexpr size_t kMostTrailerBytes = 16 * 1024;
constexpr size_t kMostTrailers = 100;

// What stands in a request line beside its target.
constexpr size_t kRequestLineSlack = 64;

// METHOD SP target SP HTTP/1.x and nothing more (RFC 9112, section 3). llhttp is more forgiving.
Fault check_request_line(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\r'));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return {400, "the request line has no three parts"};
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(line.substr(0, first))) return {400, "the method is not valid"};
  if (target.empty() || target.find(' ') != std::string_view::npos ||
      target.find('\t') != std::string_view::npos) {
    return {400, "the request target is not valid"};
  }
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.')
    return {400, "the request's version is not valid"};
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  return {};
}

// Every line of `head` ends in CR LF; a CR that no LF follows stands elsewhere.
HeadSearch check_octets(std::string_view head) {
  const char* at = head.data();
  const char* const end = at + head.size();
  while ((at = static_cast<const char*>(std::memchr(at, '\r', static_cast<size_t>(end - at)))) != nullptr) {
    if (at[1] != '\n') return {0, {400, "a bare carriage return in the head"}};
    at += 2;
  }
  if (std::memchr(head.data(), '\0', head.size()) != nullptr) return {0, {400, "a NUL in the head"}};
  return {head.size(), {}};
}

bool has_controls(std::string_view value) {
  return std::any_of(value.begin(), value.end(),
                     [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; });
}

// The lines of a trailer section that find_head() has found in order.
Fault parse_trailers(std::string_view section, Fields& out) {
  while (section.size() > 2) {
    const size_t end = section.find('\r');
    const std::string_view line = section.substr(0, end);
    section.remove_prefix(end + 2);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
      return {400, "a trailer line without a name"};
    if (has_controls(line)) return {400, "a control character in a trailer"};
    out.add(line.substr(0, colon), trimmed(line.substr(colon + 1)));
    if (out.size() > kMostTrailers) return {431, "too many trailers"};
  }
  return {};
}

}  // namespace

HeadSearch find_head(std::string_view bytes, size_t& from, const HeadLimits& limits) {
  for (;;) {
    const void* found = std::memchr(bytes.data() + from, '\n', bytes.size() - from);
    const bool in_first_line = from == 0;
    const size_t end =
        found != nullptr ? static_cast<size_t>(static_cast<const char*>(found) - bytes.data()) : bytes.size();
    if (in_first_line && end > limits.target + kRequestLineSlack)
      return {0, {414, "the request target is too long"}};
    if (end > limits.head) return {0, {431, "the head is too large"}};
    if (found == nullptr) return {};
    if (end == from || bytes[end - 1] != '\r')
      return {0, {400, "a line that ends without a carriage return"}};
    if (!in_first_line && (bytes[from] == ' ' || bytes[from] == '\t'))
      return {0, {400, "a folded header line"}};
    const bool empty_line = end == from + 1;
    from = end + 1;
    if (empty_line) return check_octets(bytes.substr(0, from));
  }
}

struct Parser::Callbacks {
  static Parser& self(llhttp_t* parser) { return *static_cast<Parser*>(parser->data); }

  static int on_target(llhttp_t* parser, const char* at, size_t size) {
    self(parser).target_ = {at, size};
    return 0;
  }
  static int on_name(llhttp_t* parser, const char* at, size_t size) {
    self(parser).name_ = {at, size};
    return 0;
  }
  static int on_value(llhttp_t* parser, const char* at, size_t size) {
    Parser& p = self(parser);
    p.fields_->add(p.name_, trimmed({at, size}));
    return 0;
  }
  static int on_head_end(llhttp_t* parser) { return self(parser).bodiless_ ? 1 : 0; }
  static int on_body(llhttp_t* parser, const char* at, size_t size) {
    Parser& p = self(parser);
    if (p.sink_ != nullptr) p.sink_->on_body({at, size});
    return 0;
  }
  static int on_chunk_extension(llhttp_t* parser, const char*, size_t size) {
    Parser& p = self(parser);
    p.extension_bytes_ += size;
    return p.extension_bytes_ > kMostChunkExtension ? HPE_USER : 0;
  }
  static int on_chunk_header(llhttp_t* parser) {
    Parser& p = self(parser);
    p.extension_bytes_ = 0;
    p.in_trailers_ = parser->content_length == 0;
    return p.in_trailers_ ? HPE_PAUSED : 0;
  }
  static int on_end(llhttp_t* parser) {
    self(parser).ended_ = true;
    return HPE_PAUSED;
  }

  static const llhttp_settings_t& settings() {
    static const llhttp_settings_t made = [] {
      llhttp_settings_t s;
      llhttp_settings_init(&s);
      s.on_url = on_target;
      s.on_header_field = on_name;
      s.on_header_value = on_value;
      s.on_headers_complete = on_head_end;
      s.on_body = on_body;
      s.on_chunk_extension_name = on_chunk_extension;
      s.on_chunk_extension_value = on_chunk_extension;
      s.on_chunk_header = on_chunk_header;
      s.on_message_complete = on_end;
      return s;
    }();
    return made;
  }
};

Fault Parser::parse_head(llhttp_type_t type, std::string_view head, const HeadLimits& limits,
                         Fields& fields) {
  llhttp_init(&parser_, type, &Callbacks::settings());
  parser_.data = this;
  fields.clear();
  fields_ = &fields;
  name_ = target_ = {};
  extension_bytes_ = 0;
  ended_ = in_trailers_ = false;
  trailer_bytes_.clear();
  searched_ = 0;
  const llhttp_errno_t error = llhttp_execute(&parser_, head.data(), head.size());
  fields_ = nullptr;
  switch (error) {
    case HPE_OK:
    case HPE_PAUSED:
    case HPE_PAUSED_UPGRADE:
      break;
    case HPE_PAUSED_H2_UPGRADE:
    case HPE_INVALID_VERSION:
      return {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
    case HPE_INVALID_METHOD:
      return {501, "an unknown method"};
    case HPE_INVALID_URL:
      return {400, "the request target is not valid"};
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
      return {400, "Content-Length is doubled, not a number, or beside Transfer-Encoding"};
    case HPE_INVALID_TRANSFER_ENCODING:
      return {400, "Transfer-Encoding does not end in chunked"};
    default:
      return {400, "the head is not HTTP/1"};
  }
  for (const Field& field : fields.list) {
    if (field.name.empty()) return {400, "a header line without a name"};
  }
  if (fields.size() > limits.fields) return {431, "too many header lines"};
  if (parser_.http_major != 1 || parser_.http_minor > 1)
    return {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  return {};
}

Fault Parser::parse_request(std::string_view head, const HeadLimits& limits, RequestHead& out) {
  bodiless_ = false;
  if (const Fault fault = check_request_line(head)) return fault;
  if (const Fault fault = parse_head(HTTP_REQUEST, head, limits, out.fields)) return fault;
  out.bytes = head;
  out.method = head.substr(0, head.find(' '));
  out.target = target_;
  out.minor_version = parser_.http_minor;
  if (target_.size() > limits.target) return {414, "the request target is too long"};

  out.body = {};
  if (const Fault fault = read_framing(out.fields, out.minor_version, out.body)) return fault;
  ended_ = out.body.kind == BodyKind::none;

  const ConnectionOptions options = read_connection(out.fields);
  if (options.too_many()) return {400, "too many connection options"};
  out.keep_alive = options.keeps_alive(out.minor_version);
  out.upgrade = options.upgrade && out.minor_version >= 1 ? offered_upgrade(out.fields) : std::string_view{};
  for (size_t i = 0; out.fields.has(FieldName::expect) && i < out.fields.size(); ++i) {
    if (out.fields.names[i] != FieldName::expect) continue;
    if (!equals_ignoring_case(out.fields.list[i].value, "100-continue"))
      return {417, "an unknown expectation"};
  }
  return resolve_target(out);
}

Fault Parser::parse_response(std::string_view head, const HeadLimits& limits, bool to_head,
                             ResponseHead& out) {
  constexpr size_t kStatusAt = 9;  // "HTTP/1.1 200"
  if (head.size() < kStatusAt + 3) return {502, "the status line is too short"};
  const std::string_view code = head.substr(kStatusAt, 3);
  bodiless_ = to_head || code[0] == '1' || code == "204" || code == "304";
  if (const Fault fault = parse_head(HTTP_RESPONSE, head, limits, out.fields)) return {502, fault.what};
  out.bytes = head;
  out.status = parser_.status_code;
  out.minor_version = parser_.http_minor;
  out.reason = head.substr(0, head.find('\r'));
  out.reason.remove_prefix(std::min(out.reason.size(), kStatusAt + 4));
  if (out.status < 100 || !std::all_of(code.begin(), code.end(), is_digit))
    return {502, "the status is not a status"};

  out.body = {};
  if (bodiless_) {
    ended_ = true;
  } else {
    out.body.kind = BodyKind::until_close;
    if (const Fault fault = read_framing(out.fields, out.minor_version, out.body)) return {502, fault.what};
    if ((out.body.kind == BodyKind::chunked) != ((parser_.flags & F_CHUNKED) != 0))
      return {502, "the transfer coding is ambiguous"};  // llhttp would read on to the connection's end
    ended_ = out.body.kind == BodyKind::none;
  }
  const ConnectionOptions options = read_connection(out.fields);
  if (options.too_many()) return {502, "too many connection options"};
  out.keep_alive = options.keeps_alive(out.minor_version) && out.body.kind != BodyKind::until_close;
  return {};
}

size_t Parser::feed(std::string_view bytes, BodySink& sink, Fault& fault) {
  if (ended_) return 0;
  if (in_trailers_) return feed_trailers(bytes, sink, fault);
  sink_ = &sink;
  const llhttp_errno_t error = llhttp_execute(&parser_, bytes.data(), bytes.size());
  sink_ = nullptr;
  if (error == HPE_OK) return bytes.size();
  if (error != HPE_PAUSED && error != HPE_PAUSED_UPGRADE) {
    fault = {400, "the body's framing is broken"};
    return bytes.size();
  }
  const auto taken = static_cast<size_t>(llhttp_get_error_pos(&parser_) - bytes.data());
  if (in_trailers_) return taken + feed_trailers(bytes.substr(taken), sink, fault);
  sink.on_body_end({});
  return taken;
}

// The trailer section is held to what a head is held to; llhttp would let folded lines and a last bare LF
// pass.
size_t Parser::feed_trailers(std::string_view bytes, BodySink& sink, Fault& fault) {
  constexpr std::string_view kNone = "\r\n";
  if (trailer_bytes_.empty() && bytes.starts_with(kNone)) {
    ended_ = true;
    sink.on_body_end({});
    return kNone.size();
  }
  const size_t before = trailer_bytes_.size();
  trailer_bytes_.append(bytes);
  const HeadSearch search =
      find_head(trailer_bytes_, searched_, {kMostTrailerBytes, kMostTrailerBytes, kMostTrailers});
  fault = search.fault ? Fault{400, "the trailers are not valid, or too large"} : Fault{};
  if (fault || search.size == 0) return bytes.size();
  Fields trailers;
  fault = parse_trailers(std::string_view(trailer_bytes_).substr(0, search.size), trailers);
  if (fault) return bytes.size();
  ended_ = true;
  sink.on_body_end(trailers);
  return search.size - before;
}

bool Parser::end_of_stream(BodySink& sink) {
  if (ended_) return true;
  sink_ = &sink;
  const llhttp_errno_t error = llhttp_finish(&parser_);
  sink_ = nullptr;
  if (error == HPE_OK || error == HPE_PAUSED) {
    if (!ended_) return false;
    sink.on_body_end({});
    return true;
  }
  return false;
}

}  // namespace limpet::http
