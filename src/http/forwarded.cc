#include "src/http/forwarded.h"

#include <algorithm>

namespace limpet::http {

namespace {

using conf::ForwardedStyle;
using conf::IpAddress;

bool writes_x(ForwardedStyle style) {
  return style == ForwardedStyle::x_forwarded || style == ForwardedStyle::both;
}
bool writes_standard(ForwardedStyle style) {
  return style == ForwardedStyle::forwarded || style == ForwardedStyle::both;
}

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80".
std::optional<IpAddress> parse_node(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    return end == std::string_view::npos ? std::nullopt : IpAddress::parse(text.substr(1, end - 1));
  }
  if (std::count(text.begin(), text.end(), ':') == 1) text = text.substr(0, text.find(':'));
  return IpAddress::parse(text);
}

// The value of a parameter, "for=", in one element of Forwarded, unquoted (RFC 7239, section 4).
std::string_view parameter(std::string_view element, std::string_view name) {
  std::string_view value;
  for_each_member<';'>(element, [&](std::string_view pair) {
    if (value.empty() && equals_ignoring_case(pair.substr(0, name.size()), name))
      value = pair.substr(name.size());
  });
  const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
  return quoted ? value.substr(1, value.size() - 2) : value;
}

// The last comma of a list that stands in no quoted string. Looked for from the right: what a proxy that is
// believed has added is sound there, whatever quotes a client left open before it.
size_t last_comma(std::string_view list) {
  bool quoted = false;
  for (size_t at = list.size(); at-- > 0;) {
    if (list[at] == ',' && !quoted) return at;
    if (list[at] != '"') continue;
    size_t backslashes = 0;
    while (backslashes < at && list[at - 1 - backslashes] == '\\') ++backslashes;
    if (!quoted || backslashes % 2 == 0) quoted = !quoted;
  }
  return std::string_view::npos;
}

// Walks one field's chain of addresses from the right while they are trusted proxies.
IpAddress walk_chain(IpAddress client, const conf::Listener& listener, const Fields& fields, FieldName name) {
  for (size_t i = fields.size(); i-- > 0;) {
    if (fields.names[i] != name) continue;
    std::string_view rest = fields.list[i].value;
    while (!rest.empty()) {
      const size_t comma = last_comma(rest);
      std::string_view member = comma == std::string_view::npos ? rest : rest.substr(comma + 1);
      rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(0, comma);
      member = trimmed(member);
      const auto address = parse_node(name == FieldName::forwarded ? parameter(member, "for=") : member);
      if (!address) return client;  // "unknown" or obfuscated: nobody further left can be believed
      client = *address;
      if (!is_trusted(listener, client)) return client;
    }
  }
  return client;
}

// Appends what the fields of one name said so far, as the beginning of a list.
void add_earlier(const Fields& fields, FieldName name, Cursor& out) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields.names[i] == name && !fields.list[i].value.empty()) out.put(fields.list[i].value).put(", ");
  }
}

std::string_view proto_of(const Peer& peer) { return peer.tls ? "https" : "http"; }

void write_x_forwarded(const Peer& peer, const RequestHead& request, Cursor& out) {
  const Fields& fields = request.fields;
  if (!peer.text.empty()) {
    out.put("X-Forwarded-For: ");
    if (peer.trusted) add_earlier(fields, FieldName::x_forwarded_for, out);
    out.put(peer.text).put("\r\n");
  }
  const std::string_view proto =
      peer.trusted ? fields.first(FieldName::x_forwarded_proto) : std::string_view{};
  out.field("X-Forwarded-Proto", proto.empty() ? proto_of(peer) : proto);
  const std::string_view host = peer.trusted ? fields.first(FieldName::x_forwarded_host) : std::string_view{};
  if (!host.empty() || !request.host.empty())
    out.field("X-Forwarded-Host", host.empty() ? request.host : host);
}

void write_standard_forwarded(const Peer& peer, const RequestHead& request, Cursor& out) {
  out.put("Forwarded: ");
  if (peer.trusted) add_earlier(request.fields, FieldName::forwarded, out);
  if (peer.text.empty()) {
    out.put("for=unknown");
  } else if (peer.address.is_v4()) {
    out.put("for=").put(peer.text);
  } else {
    out.put("for=\"[").put(peer.text).put("]\"");
  }
  if (!request.host.empty()) {
    const bool quoted = !is_token(request.host);
    out.put(quoted ? std::string_view(";host=\"") : std::string_view(";host=")).put(request.host);
    if (quoted) out.put("\"");
  }
  out.put(";proto=").put(proto_of(peer)).put("\r\n");
}

}  // namespace

bool is_trusted(const conf::Listener& listener, const IpAddress& address) {
  return conf::contain(listener.trusted_proxies, address);
}

IpAddress believed_client(const Peer& peer, const conf::Listener& listener, const Fields& fields) {
  if (!peer.trusted) return peer.address;
  if (listener.forwarded == ForwardedStyle::forwarded) {
    return walk_chain(peer.address, listener, fields, FieldName::forwarded);
  }
  const IpAddress client = walk_chain(peer.address, listener, fields, FieldName::x_forwarded_for);
  const bool also_standard = listener.forwarded == ForwardedStyle::none && client == peer.address;
  return also_standard ? walk_chain(peer.address, listener, fields, FieldName::forwarded) : client;
}

bool believed_tls(const Peer& peer, const conf::Listener& listener, const Fields& fields) {
  if (!peer.trusted) return peer.tls;
  const auto first_of = [&](FieldName name) {
    const std::string_view list = fields.first(name);
    return trimmed(list.substr(0, list.find(',')));
  };
  const bool standard = listener.forwarded == ForwardedStyle::forwarded;
  const std::string_view proto =
      standard ? parameter(first_of(FieldName::forwarded), "proto=") : first_of(FieldName::x_forwarded_proto);
  return proto.empty() ? peer.tls : equals_ignoring_case(proto, "https");
}

void write_forwarded(const Peer& peer, const conf::Listener& listener, const RequestHead& request,
                     Cursor& out) {
  if (writes_x(listener.forwarded)) write_x_forwarded(peer, request, out);
  if (writes_standard(listener.forwarded)) write_standard_forwarded(peer, request, out);
}

FieldSet forwarded_to_drop(const Peer& peer, const conf::Listener& listener) {
  constexpr FieldSet kX{FieldName::x_forwarded_for, FieldName::x_forwarded_host,
                        FieldName::x_forwarded_proto};
  constexpr FieldSet kStandard{FieldName::forwarded};
  FieldSet drop;
  if (!peer.trusted) {
    if (listener.underscores == conf::Underscores::drop) drop.add(FieldName::underscored);
    return drop | kX | kStandard | FieldSet(FieldName::x_forwarded_other);
  }
  if (writes_x(listener.forwarded)) drop = drop | kX;
  if (writes_standard(listener.forwarded)) drop = drop | kStandard;
  return drop;
}

}  // namespace limpet::http
