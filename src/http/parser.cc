#include "src/http/parser.h"

#include <algorithm>

#include "src/http/field_lines.h"
#include "src/http/framing.h"
#include "src/http/target.h"

namespace limpet::http {

namespace {

// method SP target SP version, and nothing more (RFC 9112, section 3). A method is any token (RFC 9110,
// section 9.1).
Fault read_request_line(std::string_view head, RequestHead& out) {
  const std::string_view line = head.substr(0, head.find('\r'));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return {400, "the request line has no three parts"};
  const std::string_view method = line.substr(0, first), version = line.substr(last + 1);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (!is_token(method)) return {400, "the method is not valid"};
  if (!is_target(target)) return {400, "the request target is not valid"};
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.')
    return {400, "the request's version is not valid"};
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  out.method = method;
  out.target = target;
  out.minor_version = version.back() == '1' ? 1 : 0;
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

Fault Parser::parse_request(std::string_view head, const HeadLimits& limits, RequestHead& out) {
  if (const Fault fault = read_request_line(head, out)) return fault;
  if (const Fault fault = parse_fields(head, limits, out.fields)) return fault;
  out.bytes = head;
  if (out.target.size() > limits.target) return {414, "the request target is too long"};

  out.body = {};
  if (const Fault fault = read_framing(out.fields, out.minor_version, out.body)) return fault;
  body_.begin(out.body);

  const ConnectionOptions options = read_connection(out.fields);
  if (options.too_many()) return {400, "too many connection options"};
  out.keep_alive = options.keeps_alive(out.minor_version);
  out.upgrades = false;
  if (options.upgrade && out.minor_version >= 1)
    for_each_offer(out.fields, [&](std::string_view) { out.upgrades = true; });
  if (const Fault fault = check_expectations(out.fields)) return fault;
  return resolve_target(out);
}

Fault Parser::parse_response(std::string_view head, const HeadLimits& limits, bool to_head,
                             ResponseHead& out) {
  if (const Fault fault = read_status_line(head, out)) return fault;
  out.bytes = head;
  if (const Fault fault = parse_fields(head, limits, out.fields)) return {502, fault.what};

  out.body = {.kind = BodyKind::until_close};
  const Fault fault = read_framing(out.fields, out.minor_version, out.body);
  bool is_sound = !fault;
  if (to_head || out.status < 200 || out.status == 204 || out.status == 304) {
    // It ends here whatever the fields say (RFC 9112, section 6.3), and may tell of another answer's length.
    // A 204 may not, so its body may follow all the same.
    if (fault) out.fields.hold_back(FieldName::content_length);
    if (out.status == 204 && out.fields.has(FieldName::transfer_encoding)) is_sound = false;
    if (out.status == 204 && out.body.kind == BodyKind::length && out.body.length != 0) is_sound = false;
    out.body = {};
  } else if (fault) {
    return {502, fault.what};
  }
  body_.begin(out.body);
  const ConnectionOptions options = read_connection(out.fields);
  if (options.too_many()) return {502, "too many connection options"};
  out.keep_alive =
      is_sound && options.keeps_alive(out.minor_version) && out.body.kind != BodyKind::until_close;
  return {};
}

}  // namespace limpet::http
