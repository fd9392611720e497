#include "src/http/parser.h"

#include <algorithm>

#include "src/http/field_lines.h"
#include "src/http/framing.h"
#include "src/http/target.h"

namespace limpet::http {

namespace {

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

// HTTP/1.x SP three digits, and a reason or none (RFC 9112, section 4).
Fault read_status_line(std::string_view head, ResponseHead& out) {
  constexpr std::string_view kShape = "HTTP/1.1 200";
  constexpr size_t kVersionAt = 7, kStatusAt = 9;
  const std::string_view line = head.substr(0, head.find('\r'));
  if (line.size() < kShape.size()) return {502, "the status line is too short"};
  const std::string_view version = line.substr(0, kStatusAt - 1), code = line.substr(kStatusAt, 3);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return {502, "the answer is not HTTP/1.1 or HTTP/1.0"};
  if (line[kStatusAt - 1] != ' ' || !std::all_of(code.begin(), code.end(), is_digit) || code[0] == '0' ||
      (line.size() > kShape.size() && line[kShape.size()] != ' ')) {
    return {502, "the status is not a status"};
  }
  out.status = static_cast<uint16_t>((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
  out.minor_version = static_cast<uint8_t>(line[kVersionAt] - '0');
  out.reason = line.substr(std::min(line.size(), kShape.size() + 1));
  return {};
}

Fault parse_fields(std::string_view head, const HeadLimits& limits, Fields& out) {
  out.clear();
  if (!read_fields(head.substr(head.find('\n') + 1), out)) return {400, "the head is not HTTP/1"};
  if (out.size() > limits.fields) return {431, "too many header lines"};
  return {};
}

}  // namespace

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
  static const llhttp_settings_t& settings() {
    static const llhttp_settings_t made = [] {
      llhttp_settings_t s;
      llhttp_settings_init(&s);
      s.on_url = on_target;
      s.on_header_field = on_name;
      s.on_header_value = on_value;
      return s;
    }();
    return made;
  }
};

Fault Parser::parse_head(std::string_view head, const HeadLimits& limits, Fields& fields) {
  llhttp_init(&parser_, HTTP_REQUEST, &Callbacks::settings());
  parser_.data = this;
  fields.clear();
  fields_ = &fields;
  name_ = target_ = {};
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
  if (const Fault fault = check_request_line(head)) return fault;
  if (const Fault fault = parse_head(head, limits, out.fields)) return fault;
  out.bytes = head;
  out.method = head.substr(0, head.find(' '));
  out.target = target_;
  out.minor_version = parser_.http_minor;
  if (target_.size() > limits.target) return {414, "the request target is too long"};

  out.body = {};
  if (const Fault fault = read_framing(out.fields, out.minor_version, out.body)) return fault;
  body_.begin(out.body);

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
  if (const Fault fault = read_status_line(head, out)) return fault;
  out.bytes = head;
  if (const Fault fault = parse_fields(head, limits, out.fields)) return {502, fault.what};

  out.body = {.kind = BodyKind::until_close};
  const Fault fault = read_framing(out.fields, out.minor_version, out.body);
  if (to_head || out.status < 200 || out.status == 204 || out.status == 304) {
    // It ends here whatever the fields say (RFC 9112, section 6.3), and may tell of another answer's length.
    if (fault) out.fields.hold_back(FieldName::content_length);
    out.body = {};
  } else if (fault) {
    return {502, fault.what};
  }
  body_.begin(out.body);
  const ConnectionOptions options = read_connection(out.fields);
  if (options.too_many()) return {502, "too many connection options"};
  out.keep_alive = options.keeps_alive(out.minor_version) && out.body.kind != BodyKind::until_close;
  return {};
}

}  // namespace limpet::http
