// The field names that an intermediary has to know (RFC 9110, 9111, 9112, 7239 and their customary
// companions).
#pragma once

#include <cstdint>
#include <string_view>

#include "conf/ascii.h"

namespace limpet::http {

enum class FieldName : uint8_t {
  other,
  accept,
  cache_control,
  challenge,  // WWW-Authenticate, Proxy-Authenticate
  connection,
  content_length,
  content_type,
  cookie,
  credentials,  // Authorization, Proxy-Authorization
  date,
  expect,
  forwarded,
  hop_by_hop,  // no name: what Connection declares to be for this connection alone
  host,
  http2_settings,
  keep_alive,
  max_forwards,
  proxy_connection,
  referer,
  strict_transport_security,
  te,
  traceparent,
  transfer_encoding,
  underscored,  // no name: of those that Limpet writes, believes or frames by, one with `_` for a `-`
  upgrade,
  user_agent,
  via,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_other,  // X-Forwarded-Port, -Prefix, -Server, X-Real-IP: what applications believe as well
  x_forwarded_proto,
  x_request_id,  // the last: see FieldSet
};

FieldName field_name(std::string_view name);

// Whether applications may read both as one: but for case, and `_` for `-`.
bool read_alike(std::string_view a, std::string_view b);

// A set of names, to drop from a head.
class FieldSet {
 public:
  template <typename... Names>
  constexpr explicit FieldSet(Names... names) : bits_((... | bit(names))) {}
  constexpr FieldSet() = default;
  constexpr FieldSet operator|(FieldSet other) const { return from(bits_ | other.bits_); }
  constexpr void add(FieldName name) { bits_ |= bit(name); }
  constexpr bool intersects(FieldSet other) const { return (bits_ & other.bits_) != 0; }
  constexpr bool contains(FieldName name) const { return (bits_ & bit(name)) != 0; }

 private:
  static_assert(static_cast<unsigned>(FieldName::x_request_id) < 32);
  static constexpr uint32_t bit(FieldName name) { return uint32_t{1} << static_cast<unsigned>(name); }
  static constexpr FieldSet from(uint32_t bits) {
    FieldSet set;
    set.bits_ = bits;
    return set;
  }
  uint32_t bits_ = 0;
};

bool is_token_octet(char octet);

// Whether every octet may stand in a token (RFC 9110, section 5.6.2); false for an empty text.
bool is_token(std::string_view text);

// Calls `visit` with each member of a comma-separated list (RFC 9110, section 5.6.1), trimmed, empty ones
// left out. Commas in quoted strings do not separate. Parameters are such a list with another separator.
template <char kSeparator = ',', typename Visit>
void for_each_member(std::string_view list, Visit&& visit) {
  size_t begin = 0;
  bool quoted = false;
  for (size_t at = 0; at <= list.size(); ++at) {
    if (at < list.size()) {
      if (list[at] == '"') quoted = !quoted;
      if (quoted && list[at] == '\\' && at + 1 < list.size()) {
        ++at;
        continue;
      }
      if (list[at] != kSeparator || quoted) continue;
    }
    const std::string_view member = trimmed(list.substr(begin, at - begin));
    if (!member.empty()) visit(member);
    begin = at + 1;
  }
}

}  // namespace limpet::http
