#include "src/http/rewrite.h"

#include <charconv>

namespace limpet::http {

namespace {

constexpr FieldSet kForOneConnection{
    FieldName::connection,        FieldName::keep_alive, FieldName::proxy_connection, FieldName::te,
    FieldName::transfer_encoding, FieldName::upgrade,    FieldName::hop_by_hop};

// The Cookie value without the pairs of one name. Everything else stays as it was written.
void add_cookies_without(std::string_view value, std::string_view hidden, std::string& out) {
  const size_t before = out.size();
  out.append("Cookie: ");
  const size_t first = out.size();
  while (!value.empty()) {
    const size_t end = std::min(value.find(';'), value.size());
    std::string_view pair = value.substr(0, end);
    value.remove_prefix(std::min(end + 1, value.size()));
    while (!pair.empty() && pair.front() == ' ') pair.remove_prefix(1);
    const bool is_hidden =
        pair.size() > hidden.size() && pair[hidden.size()] == '=' && pair.starts_with(hidden);
    if (is_hidden || pair.empty()) continue;
    if (out.size() != first) out.append("; ");
    out.append(pair);
  }
  if (out.size() == first) {
    out.resize(before);
  } else {
    out.append("\r\n");
  }
}

// Copies the field lines that `keeps` says stay, run by run; at each other one `instead` may write something
// in its place.
template <typename Keeps, typename Instead>
void copy_fields(std::string_view head, const Fields& fields, std::string& out, Keeps&& keeps,
                 Instead&& instead) {
  const char* const end = head.data() + head.size() - 2;  // the empty line
  const char* run = fields.list.empty() ? end : fields.list.front().name.data();
  for (size_t i = 0; i < fields.size(); ++i) {
    if (keeps(i)) continue;
    const char* const line = fields.list[i].name.data();
    out.append(run, static_cast<size_t>(line - run));
    instead(i);
    run = i + 1 < fields.size() ? fields.list[i + 1].name.data() : end;
  }
  out.append(run, static_cast<size_t>(end - run));
}

void add_number(std::string& out, uint64_t number) {
  char digits[20];
  out.append(digits, static_cast<size_t>(std::to_chars(digits, digits + sizeof digits, number).ptr - digits));
}

// OPTIONS and TRACE count the intermediaries they pass (RFC 9110, section 7.6.2).
void add_max_forwards(std::string_view value, std::string& out) {
  uint64_t left = 0;
  std::from_chars(value.data(), value.data() + value.size(), left);
  out.append("Max-Forwards: ");
  add_number(out, left == 0 ? 0 : left - 1);
  out.append("\r\n");
}

bool accepts_trailers(const Fields& fields) {
  bool accepts = false;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields.names[i] != FieldName::te) continue;
    for_each_member(fields.list[i].value, [&](std::string_view member) {
      accepts = accepts || equals_ignoring_case(member.substr(0, member.find(';')), "trailers");
    });
  }
  return accepts;
}

// Adds `directive` to what the response says about caching, and takes back what would let a shared cache keep
// it (RFC 9111, sections 5.2.2.7 to 5.2.2.10).
void add_private_caching(const Fields& fields, std::string& out) {
  bool already = false;
  out.append("Cache-Control: ");
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields.names[i] != FieldName::cache_control) continue;
    for_each_member(fields.list[i].value, [&](std::string_view directive) {
      const std::string_view name = directive.substr(0, directive.find('='));
      if (equals_ignoring_case(name, "public") || equals_ignoring_case(name, "s-maxage")) return;
      already = already || equals_ignoring_case(directive, "private") ||
                equals_ignoring_case(directive, "no-store");
      out.append(directive).append(", ");
    });
  }
  if (!already) {
    out.append("private");
  } else {
    out.resize(out.size() - 2);
  }
  out.append("\r\n");
}

}  // namespace

void write_request(const RequestHead& request, const RequestEdits& edits, std::string& out) {
  const Fields& fields = request.fields;
  const bool new_host = request.absolute_form || request.host.empty();
  const bool counts_hops = request.method == "OPTIONS" || request.method == "TRACE";

  out.append(request.method).append(" ");
  if (request.target[0] == '?') out.append("/");
  out.append(request.target).append(" HTTP/1.1\r\n");
  if (new_host) add_field(out, "Host", request.host);

  FieldSet drop =
      kForOneConnection | FieldSet(FieldName::http2_settings) | forwarded_to_drop(edits.peer, edits.listener);
  if (new_host) drop = drop | FieldSet(FieldName::host);
  if (!edits.request_id.empty()) drop = drop | FieldSet(FieldName::x_request_id);
  copy_fields(
      request.bytes, fields, out,
      [&](size_t i) {
        if (drop.contains(fields.names[i])) return false;
        if (fields.names[i] == FieldName::max_forwards) return !counts_hops;
        if (fields.names[i] != FieldName::cookie || edits.hidden_cookie.empty()) return true;
        return fields.list[i].value.find(edits.hidden_cookie) == std::string_view::npos;
      },
      [&](size_t i) {
        if (drop.contains(fields.names[i])) return;
        if (fields.names[i] == FieldName::cookie) {
          add_cookies_without(fields.list[i].value, edits.hidden_cookie, out);
        } else {
          add_max_forwards(fields.list[i].value, out);
        }
      });
  if (request.body.kind == BodyKind::chunked) add_field(out, "Transfer-Encoding", "chunked");
  if (!request.upgrade.empty()) {
    add_field(out, "Connection", "upgrade");
    add_field(out, "Upgrade", request.upgrade);
  } else if (accepts_trailers(fields)) {
    add_field(out, "Connection", "TE");
    add_field(out, "TE", "trailers");
  }
  write_forwarded(edits.peer, edits.listener, request, out);
  if (!edits.request_id.empty()) add_field(out, "X-Request-Id", edits.request_id);
  out.append(request.minor_version == 0 ? "Via: 1.0 " : "Via: 1.1 ").append(edits.via).append("\r\n\r\n");
}

void write_response(const ResponseHead& response, const ResponseEdits& edits, std::string& out) {
  const Fields& fields = response.fields;
  out.append("HTTP/1.1 ");
  add_number(out, response.status);
  out.append(" ").append(response.reason).append("\r\n");

  FieldSet drop = kForOneConnection;
  const bool no_length = response.status < 200 || response.status == 204;  // RFC 9110, section 8.6
  if (no_length) drop = drop | FieldSet(FieldName::content_length);
  if (!edits.set_cookie.empty()) drop = drop | FieldSet(FieldName::cache_control);
  copy_fields(
      response.bytes, fields, out, [&](size_t i) { return !drop.contains(fields.names[i]); }, [](size_t) {});

  if (!edits.set_cookie.empty()) {
    add_private_caching(fields, out);
    add_field(out, "Set-Cookie", edits.set_cookie);
  }
  if (edits.chunked) add_field(out, "Transfer-Encoding", "chunked");
  if (response.status == 101) {
    add_field(out, "Connection", "upgrade");
    add_field(out, "Upgrade", fields.first(FieldName::upgrade));
  } else if (edits.close) {
    add_field(out, "Connection", "close");
  } else if (edits.keep_alive) {
    add_field(out, "Connection", "keep-alive");
  }
  if (response.status >= 200 && fields.first(FieldName::date).empty()) add_field(out, "Date", edits.date);
  out.append(response.minor_version == 0 ? "Via: 1.0 " : "Via: 1.1 ").append(edits.via).append("\r\n\r\n");
}

void write_trailers(const Fields& trailers, std::string& out) {
  constexpr FieldSet kForbidden =
      kForOneConnection | FieldSet(FieldName::content_length, FieldName::host, FieldName::cookie,
                                   FieldName::expect, FieldName::max_forwards, FieldName::cache_control,
                                   FieldName::forwarded, FieldName::x_forwarded_for,
                                   FieldName::x_forwarded_host, FieldName::x_forwarded_proto,
                                   FieldName::x_forwarded_other);
  for (size_t i = 0; i < trailers.size(); ++i) {
    const Field& field = trailers.list[i];
    if (kForbidden.contains(trailers.names[i]) || equals_ignoring_case(field.name, "authorization") ||
        equals_ignoring_case(field.name, "set-cookie")) {
      continue;
    }
    add_field(out, field.name, field.value);
  }
  out.append("\r\n");
}

}  // namespace limpet::http
