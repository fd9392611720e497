#include "src/http/h2_head.h"

#include "src/http/framing.h"
#include "src/http/own_reply.h"
#include "src/http/target.h"

namespace limpet::http {

namespace {

constexpr size_t kMostKept = 16 * 1024;
constexpr size_t kAroundLine = 4;  // ": " and the line's end

// A request that is whole without content says so where its method has some (RFC 9110, section 8.6).
bool has_to_say_length(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

}  // namespace

void H2Head::begin(const HeadLimits& limits) {
  limits_ = limits;
  text_.clear();
  cookies_.clear();
  lines_.clear();
  method_ = scheme_ = authority_ = path_ = protocol_ = status_ = {};
  size_ = 0;
  fault_ = {};
  has_cookies_ = upgrades_ = false;
}

void H2Head::clear() {
  begin({});
  if (text_.capacity() > kMostKept) text_ = {};
  if (cookies_.capacity() > kMostKept) cookies_ = {};
}

H2Head::Span* H2Head::pseudo(std::string_view name) {
  if (name == ":method") return &method_;
  if (name == ":scheme") return &scheme_;
  if (name == ":authority") return &authority_;
  if (name == ":path") return &path_;
  if (name == ":protocol") return &protocol_;
  if (name == ":status") return &status_;
  return nullptr;
}

void H2Head::add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + kAroundLine;
  if (fault_) return;
  if (name.starts_with(':')) {
    if (name == ":path" && value.size() > limits_.target) fault_ = {414, "the request target is too long"};
    if (size_ > limits_.head) fault_ = {431, "the head is too large"};
    Span* const span = fault_ ? nullptr : pseudo(name);
    if (span == nullptr) return;
    *span = {text_.size(), value.size()};
    text_.append(value);
    return;
  }
  if (size_ > limits_.head) {
    fault_ = {431, "the head is too large"};
  } else if (lines_.size() == limits_.fields) {
    fault_ = {431, "too many header lines"};
  } else if (name == "cookie") {
    if (has_cookies_) cookies_.append("; ");
    cookies_.append(value);
    has_cookies_ = true;
  } else {
    add_line(name, value);
  }
}

void H2Head::add_line(std::string_view name, std::string_view value) {
  const size_t at = text_.size();
  text_.resize(at + name.size() + value.size() + kAroundLine);
  Cursor(text_.data() + at).put(name).put(": ").put(value).put("\r\n");
  lines_.push_back({{at, name.size()}, {at + name.size() + 2, value.size()}});
}

bool H2Head::asks_for_web_socket() const {
  return !fault_ && view(method_) == "CONNECT" && equals_ignoring_case(view(protocol_), "websocket");
}

void H2Head::become_upgrade(std::string_view key) {
  upgrades_ = true;
  add_line("upgrade", "websocket");
  add_line("sec-websocket-key", key);
}

void H2Head::become_switch(std::string_view accept) {
  upgrades_ = true;
  add_line("upgrade", "websocket");
  add_line("sec-websocket-accept", accept);
}

// Nothing is added any more.
void H2Head::finish(Fields& out) {
  if (has_cookies_) add_line("cookie", cookies_);
  text_.append("\r\n");
  out.clear();
  for (const Line& line : lines_) out.add(view(line.name), view(line.value));
}

Fault H2Head::finish_request(bool has_content, RequestHead& out) {
  bool says_length = false;
  for (const Line& line : lines_) says_length = says_length || view(line.name) == "content-length";
  if (upgrades_) has_content = false;
  if (!upgrades_ && !has_content && !says_length && has_to_say_length(view(method_)))
    add_line("content-length", "0");
  out.clear();
  finish(out.fields);
  out.major_version = 2;
  out.bytes = text_;
  out.method = upgrades_ ? std::string_view("GET") : view(method_);
  out.upgrades = upgrades_;
  out.target = view(path_);
  if (fault_) return fault_;

  if (!is_token(out.method)) return {400, "the method is not valid"};
  if (out.method == "CONNECT") return {501, "CONNECT is not served here"};
  if (view(scheme_) != "http" && view(scheme_) != "https")
    return {400, "the request's scheme is neither http nor https"};
  if (const Fault fault = check_authority(out)) return fault;
  if (!is_target(out.target)) return {400, "the request target is not valid"};
  if (const Fault fault = check_path(out)) return fault;
  if (const Fault fault = read_framing(out.fields, out.minor_version, out.body)) return fault;
  if (!has_content) {
    out.body = {};
  } else if (out.body.kind == BodyKind::none) {
    // Without a length it ends where its stream does; a length of 0 may be followed by an empty frame.
    out.body = {.kind = out.fields.has(FieldName::content_length) ? BodyKind::length : BodyKind::chunked};
  }
  return check_expectations(out.fields);
}

// One of :authority and Host, or both where they say the same (section 8.3.1).
Fault H2Head::check_authority(RequestHead& request) const {
  if (const Fault fault = read_host(request)) return fault;
  const std::string_view authority = view(authority_);
  if (!authority.empty()) {
    if (request.fields.has(FieldName::host) && !equals_ignoring_case(request.host, authority))
      return {400, "Host is not what :authority is"};
    request.host = authority;
    request.absolute_form = true;
  }
  if (request.host.empty()) return {400, "no Host"};
  if (!is_authority(request.host)) return {400, "Host is not valid"};
  return {};
}

Fault H2Head::finish_response(bool to_head, bool has_content, ResponseHead& out) {
  finish(out.fields);
  out.bytes = text_;
  out.minor_version = 1;
  out.major_version = 2;
  out.body = {};
  out.keep_alive = true;
  out.status = 0;
  for (const char digit : view(status_)) out.status = static_cast<uint16_t>(out.status * 10 + (digit - '0'));
  out.reason = reason_phrase(out.status);
  if (fault_) return {502, fault_.what};
  if (out.status < 100) return {502, "the status is none"};
  const Fault fault = read_framing(out.fields, out.minor_version, out.body);
  if (upgrades_) out.status = 101;
  if (upgrades_ || to_head || !has_content || out.status < 200 || out.status == 204 || out.status == 304) {
    if (fault) out.fields.hold_back(FieldName::content_length);
    out.body = {};
    return {};
  }
  if (fault) return {502, fault.what};
  if (out.body.kind == BodyKind::none)
    out.body = {.kind = out.fields.has(FieldName::content_length) ? BodyKind::length : BodyKind::chunked};
  return {};
}

Fault H2Head::finish_trailers(Fields& out) {
  finish(out);
  return fault_ ? Fault{431, "the trailers are too many, or too large"} : Fault{};
}

}  // namespace limpet::http
