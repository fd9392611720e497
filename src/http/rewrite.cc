#include "src/http/rewrite.h"

#include <algorithm>
#include <charconv>

#include "src/http/framing.h"

namespace limpet::http {

namespace {

constexpr FieldSet kForOneConnection{
    FieldName::connection,        FieldName::keep_alive, FieldName::proxy_connection, FieldName::te,
    FieldName::transfer_encoding, FieldName::upgrade,    FieldName::hop_by_hop};

constexpr std::string_view kEarlyData = "Early-Data", kTraceState = "tracestate";

// What a head may gain beside what it had: field names, the status line, a date, framing.
constexpr size_t kMostAdded = 1024;

// The Cookie value without the pairs of one name. Everything else stays as it was written.
void put_cookies_without(std::string_view value, std::string_view hidden, Cursor& out) {
  constexpr std::string_view kName = "Cookie: ";
  char* const before = out.at();
  out.put(kName);
  while (!value.empty()) {
    const size_t end = std::min(value.find(';'), value.size());
    std::string_view pair = value.substr(0, end);
    value.remove_prefix(std::min(end + 1, value.size()));
    pair = trimmed(pair);
    if (pair.empty() || trimmed(pair.substr(0, pair.find('='))) == hidden) continue;
    if (out.at() != before + kName.size()) out.put("; ");
    out.put(pair);
  }
  if (out.at() == before + kName.size()) {
    out.take_back(kName.size());
  } else {
    out.put("\r\n");
  }
}

// Copies the field lines that `keeps` says stay, run by run; at each other one `instead` may write something
// in its place.
template <typename Keeps, typename Instead>
void copy_fields(std::string_view head, const Fields& fields, Cursor& out, Keeps&& keeps, Instead&& instead) {
  const char* const end = head.data() + head.size() - 2;  // the empty line
  const char* run = fields.list.empty() ? end : fields.list.front().name.data();
  for (size_t i = 0; i < fields.size(); ++i) {
    if (keeps(i)) continue;
    const char* const line = fields.list[i].name.data();
    out.put(std::string_view(run, static_cast<size_t>(line - run)));
    instead(i);
    run = i + 1 < fields.size() ? fields.list[i + 1].name.data() : end;
  }
  out.put(std::string_view(run, static_cast<size_t>(end - run)));
}

void put_number(uint64_t number, Cursor& out) {
  char digits[20];
  out.put(std::string_view(
      digits, static_cast<size_t>(std::to_chars(digits, digits + sizeof digits, number).ptr - digits)));
}

// OPTIONS and TRACE count the intermediaries they pass (RFC 9110, section 7.6.2).
void put_max_forwards(std::string_view value, Cursor& out) {
  uint64_t left = 0;
  const auto read = std::from_chars(value.data(), value.data() + value.size(), left);
  if (read.ec == std::errc::result_out_of_range) left = ~uint64_t{0};
  out.put("Max-Forwards: ");
  put_number(left == 0 ? 0 : left - 1, out);
  out.put("\r\n");
}

bool accepts_trailers(const Fields& fields) {
  if (!fields.has(FieldName::te)) return false;
  bool accepts = false;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields.names[i] != FieldName::te) continue;
    for_each_member(fields.list[i].value, [&](std::string_view member) {
      accepts = accepts || equals_ignoring_case(member.substr(0, member.find(';')), "trailers");
    });
  }
  return accepts;
}

// Adds "private" to what the response says about caching, and takes back what would let a shared cache keep
// it (RFC 9111, sections 5.2.2.7 to 5.2.2.10).
void put_private_caching(const Fields& fields, Cursor& out) {
  bool already = false;
  out.put("Cache-Control: ");
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields.names[i] != FieldName::cache_control) continue;
    for_each_member(fields.list[i].value, [&](std::string_view directive) {
      const std::string_view name = directive.substr(0, directive.find('='));
      if (equals_ignoring_case(name, "public") || equals_ignoring_case(name, "s-maxage")) return;
      already = already || equals_ignoring_case(directive, "private") ||
                equals_ignoring_case(directive, "no-store");
      out.put(directive).put(", ");
    });
  }
  if (already) {
    out.take_back(2);
  } else {
    out.put("private");
  }
  out.put("\r\n");
}

void put_offers(const Fields& fields, Cursor& out) {
  out.put("Connection: upgrade\r\nUpgrade: ");
  for_each_offer(fields, [&](std::string_view protocol) { out.put(protocol).put(", "); });
  out.take_back(2);
  out.put("\r\n");
}

// Beside those that have a FieldName.
bool belongs_in_a_head(std::string_view name) {
  constexpr std::string_view kContent = "content-", kCondition = "if-";
  constexpr std::string_view kNames[] = {"age",         "expires",    "location", "pragma", "range",
                                         "retry-after", "set-cookie", "trailer",  "vary"};
  if (equals_ignoring_case(name.substr(0, kContent.size()), kContent))
    return !equals_ignoring_case(name, "content-digest");  // made to follow the content (RFC 9530, section 2)
  return equals_ignoring_case(name.substr(0, kCondition.size()), kCondition) ||
         std::any_of(std::begin(kNames), std::end(kNames),
                     [name](std::string_view known) { return equals_ignoring_case(name, known); });
}

template <typename Head>
std::string_view version_of(const Head& head) {
  return head.major_version == 2 ? "2.0" : head.minor_version == 0 ? "1.0" : "1.1";
}

// With the final empty line.
void put_via(std::string_view version, std::string_view pseudonym, std::string_view mark, Cursor& out) {
  if (pseudonym.empty()) {
    out.put("\r\n");
    return;
  }
  out.put("Via: ").put(version).put(" ").put(pseudonym);
  if (!mark.empty()) out.put(" (").put(mark).put(")");
  out.put("\r\n\r\n");
}

void put_request(const RequestHead& request, const RequestEdits& edits, Cursor& out) {
  const Fields& fields = request.fields;
  const bool new_host = request.absolute_form || !fields.has(FieldName::host);
  const bool counts_hops =
      fields.has(FieldName::max_forwards) && (request.method == "OPTIONS" || request.method == "TRACE");

  out.put(request.method).put(" ");
  if (request.target[0] == '?') out.put("/");
  out.put(request.target).put(" HTTP/1.1\r\n");
  if (new_host) out.field("Host", request.absolute_form ? request.host : edits.backend);

  FieldSet drop =
      kForOneConnection | FieldSet(FieldName::http2_settings) | forwarded_to_drop(edits.peer, edits.listener);
  if (new_host) drop = drop | FieldSet(FieldName::host);
  if (!edits.request_id.empty()) drop = drop | FieldSet(FieldName::x_request_id);
  if (!edits.traceparent.empty()) drop = drop | FieldSet(FieldName::traceparent);
  copy_fields(
      request.bytes, fields, out,
      [&](size_t i) {
        if (drop.contains(fields.names[i])) return false;
        if (edits.early && read_alike(fields.list[i].name, kEarlyData)) return false;
        if (!edits.traceparent.empty() && equals_ignoring_case(fields.list[i].name, kTraceState))
          return false;
        if (fields.names[i] == FieldName::max_forwards) return !counts_hops;
        if (fields.names[i] != FieldName::cookie || edits.hidden_cookie.empty()) return true;
        return fields.list[i].value.find(edits.hidden_cookie) == std::string_view::npos;
      },
      [&](size_t i) {
        if (drop.contains(fields.names[i])) return;
        if (fields.names[i] == FieldName::cookie) {
          put_cookies_without(fields.list[i].value, edits.hidden_cookie, out);
        } else if (fields.names[i] == FieldName::max_forwards) {
          put_max_forwards(fields.list[i].value, out);
        }
      });
  if (request.body.kind == BodyKind::chunked) out.put("Transfer-Encoding: chunked\r\n");
  if (request.upgrades) {
    put_offers(fields, out);
  } else if (accepts_trailers(fields)) {
    out.put("Connection: TE\r\nTE: trailers\r\n");
  }
  write_forwarded(edits.peer, edits.listener, request, out);
  if (edits.early) out.put(kEarlyData).put(": 1\r\n");
  if (edits.peer.certificate) out.put(edits.peer.certificate->lines);
  if (!edits.request_id.empty()) out.field("X-Request-Id", edits.request_id);
  if (!edits.traceparent.empty()) out.field("traceparent", edits.traceparent);
  put_via(version_of(request), edits.via, edits.mark, out);
}

void put_response(const ResponseHead& response, const ResponseEdits& edits, Cursor& out) {
  const Fields& fields = response.fields;
  out.put("HTTP/1.1 ");
  put_number(response.status, out);
  out.put(" ").put(response.reason).put("\r\n");

  FieldSet drop = kForOneConnection;
  const bool no_length = response.status < 200 || response.status == 204;  // RFC 9110, section 8.6
  if (no_length) drop = drop | FieldSet(FieldName::content_length);
  if (!edits.set_cookie.empty()) drop = drop | FieldSet(FieldName::cache_control);
  copy_fields(
      response.bytes, fields, out, [&](size_t i) { return !drop.contains(fields.names[i]); }, [](size_t) {});

  if (!edits.set_cookie.empty()) {
    put_private_caching(fields, out);
    out.field("Set-Cookie", edits.set_cookie);
  }
  if (!edits.hsts.empty() && !fields.has(FieldName::strict_transport_security))
    out.field("Strict-Transport-Security", edits.hsts);
  if (edits.chunked) out.put("Transfer-Encoding: chunked\r\n");
  if (response.status == 101) {
    out.put("Connection: upgrade\r\n").field("Upgrade", fields.first(FieldName::upgrade));
  } else if (edits.close) {
    out.put("Connection: close\r\n");
  } else if (edits.keep_alive) {
    out.put("Connection: keep-alive\r\n");
  }
  if (response.status >= 200 && !fields.has(FieldName::date)) out.field("Date", edits.date);
  put_via(version_of(response), edits.via, {}, out);
}

}  // namespace

// What a head gains from its own bytes: its authority three times (Host, X-Forwarded-Host, Forwarded), and a
// space for each cookie.
void write_request(const RequestHead& request, const RequestEdits& edits, net::Gather& out) {
  const size_t certificate = edits.peer.certificate ? edits.peer.certificate->lines.size() : 0;
  const size_t own = certificate + edits.via.size() + edits.mark.size() + edits.request_id.size() +
                     edits.traceparent.size() + edits.backend.size() + 2 * edits.peer.text.size();
  Cursor cursor(out.room(5 * request.bytes.size() + own + kMostAdded));
  put_request(request, edits, cursor);
  out.wrote(cursor.at());
}

void write_response(const ResponseHead& response, const ResponseEdits& edits, net::Gather& out) {
  const size_t own = edits.via.size() + edits.set_cookie.size() + edits.date.size();
  Cursor cursor(out.room(3 * response.bytes.size() + own + kMostAdded));
  put_response(response, edits, cursor);
  out.wrote(cursor.at());
}

void write_trailers(const Fields& trailers, FieldSet drop, net::Gather& out) {
  constexpr FieldSet kForbidden =
      kForOneConnection |
      FieldSet(FieldName::challenge, FieldName::credentials, FieldName::content_length, FieldName::host,
               FieldName::cookie, FieldName::expect, FieldName::max_forwards, FieldName::cache_control,
               FieldName::http2_settings, FieldName::date, FieldName::via, FieldName::x_request_id,
               FieldName::forwarded, FieldName::x_forwarded_for, FieldName::x_forwarded_host,
               FieldName::x_forwarded_proto, FieldName::x_forwarded_other);
  for (size_t i = 0; i < trailers.size(); ++i) {
    const Field& field = trailers.list[i];
    if ((kForbidden | drop).contains(trailers.names[i]) || belongs_in_a_head(field.name)) continue;
    out.text(field.name);
    out.text(": ");
    out.text(field.value);
    out.text("\r\n");
  }
  out.text("\r\n");
}

}  // namespace limpet::http
