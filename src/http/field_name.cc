#include "src/http/field_name.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace limpet::http {

namespace {

constexpr auto kTokenOctets = [] {
  std::array<bool, 256> allowed{};
  for (char c = 'a'; c <= 'z'; ++c)
    allowed[static_cast<size_t>(c)] = allowed[static_cast<size_t>(c - 32)] = true;
  for (char c = '0'; c <= '9'; ++c) allowed[static_cast<size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) allowed[static_cast<size_t>(c)] = true;
  return allowed;
}();

// By length and one telling letter first: most names are not of interest, and that shows at once.
FieldName known_name(std::string_view name) {
  // Of a token's octets this changes letters' case, and none into a letter, digit or hyphen.
  constexpr char kLower = 0x20;
  const auto is = [&]<size_t N>(const char(&known)[N], FieldName answer) {
    char low[N - 1];
    std::memcpy(low, name.data(), sizeof low);
    for (char& octet : low) octet = static_cast<char>(octet | kLower);
    return std::memcmp(low, known, sizeof low) == 0 ? answer : FieldName::other;
  };
  const char first = static_cast<char>(name.empty() ? 0 : name[0] | kLower);
  switch (name.size()) {
    case 2:
      return is("te", FieldName::te);
    case 3:
      return is("via", FieldName::via);
    case 4:
      return first == 'h' ? is("host", FieldName::host) : is("date", FieldName::date);
    case 6:
      if (first == 'c') return is("cookie", FieldName::cookie);
      return first == 'a' ? is("accept", FieldName::accept) : is("expect", FieldName::expect);
    case 7:
      return first == 'r' ? is("referer", FieldName::referer) : is("upgrade", FieldName::upgrade);
    case 9:
      return first == 'f' ? is("forwarded", FieldName::forwarded)
                          : is("x-real-ip", FieldName::x_forwarded_other);
    case 10:
      if (first == 'c') return is("connection", FieldName::connection);
      return first == 'u' ? is("user-agent", FieldName::user_agent) : is("keep-alive", FieldName::keep_alive);
    case 11:
      return is("traceparent", FieldName::traceparent);
    case 12:
      if (first == 'c') return is("content-type", FieldName::content_type);
      return first == 'm' ? is("max-forwards", FieldName::max_forwards)
                          : is("x-request-id", FieldName::x_request_id);
    case 13:
      if (first == 'c') return is("cache-control", FieldName::cache_control);
      if (first == 'a') return is("authorization", FieldName::credentials);
      break;
    case 14:
      if (first == 'c') return is("content-length", FieldName::content_length);
      if (first == 'h') return is("http2-settings", FieldName::http2_settings);
      break;
    case 15:
      if (first == 'x' && is("x-forwarded-for", FieldName::x_forwarded_for) != FieldName::other) {
        return FieldName::x_forwarded_for;
      }
      break;
    case 16:
      if (first == 'p') return is("proxy-connection", FieldName::proxy_connection);
      if (first == 'w') return is("www-authenticate", FieldName::challenge);
      if (first == 'x' && is("x-forwarded-host", FieldName::x_forwarded_host) != FieldName::other) {
        return FieldName::x_forwarded_host;
      }
      break;
    case 17:
      if (first == 't') return is("transfer-encoding", FieldName::transfer_encoding);
      if (first == 'x' && is("x-forwarded-proto", FieldName::x_forwarded_proto) != FieldName::other) {
        return FieldName::x_forwarded_proto;
      }
      break;
    case 18:
      if (first == 'p') return is("proxy-authenticate", FieldName::challenge);
      break;
    case 19:
      if (first == 'p') return is("proxy-authorization", FieldName::credentials);
      break;
    case 25:
      if (first == 's') return is("strict-transport-security", FieldName::strict_transport_security);
      break;
    default:
      break;
  }
  constexpr std::string_view kForwardedPrefix = "x-forwarded-";
  const bool forwarded =
      first == 'x' && equals_ignoring_case(name.substr(0, kForwardedPrefix.size()), kForwardedPrefix);
  return forwarded ? FieldName::x_forwarded_other : FieldName::other;
}

// CGI (RFC 3875, section 4.1.18) and what came after it call X-Real-IP and X_Real_IP alike.
bool passes_for_ours(std::string_view name) {
  constexpr FieldSet kOurs{
      FieldName::content_length,    FieldName::http2_settings,   FieldName::keep_alive,
      FieldName::max_forwards,      FieldName::proxy_connection, FieldName::transfer_encoding,
      FieldName::x_forwarded_for,   FieldName::x_forwarded_host, FieldName::x_forwarded_other,
      FieldName::x_forwarded_proto, FieldName::x_request_id};
  char hyphened[32];  // no name that is known is longer, but for what begins with X-Forwarded-
  const size_t size = std::min(name.size(), sizeof hyphened);
  std::replace_copy(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(size), hyphened, '_', '-');
  return kOurs.contains(known_name({hyphened, size}));
}

}  // namespace

FieldName field_name(std::string_view name) {
  const FieldName known = known_name(name);
  if (known != FieldName::other || name.find('_') == std::string_view::npos) return known;
  return passes_for_ours(name) ? FieldName::underscored : FieldName::other;
}

bool read_alike(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char one, char other) {
    const auto plain = [](char octet) {
      if (octet == '_') return '-';
      return octet >= 'A' && octet <= 'Z' ? static_cast<char>(octet - 'A' + 'a') : octet;
    };
    return plain(one) == plain(other);
  });
}

bool is_token_octet(char octet) { return kTokenOctets[static_cast<unsigned char>(octet)]; }

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_octet);
}

}  // namespace limpet::http
