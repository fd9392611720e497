#include "src/http/field_name.h"

#include <algorithm>
#include <array>

namespace limpet::http {

namespace {

struct Known {
  std::string_view text;
  FieldName name;
};

// In the order of length, so that a lookup compares against the few names of one length.
constexpr std::array kKnown = {
    Known{"te", FieldName::te},
    Known{"via", FieldName::via},
    Known{"date", FieldName::date},
    Known{"host", FieldName::host},
    Known{"accept", FieldName::accept},
    Known{"cookie", FieldName::cookie},
    Known{"expect", FieldName::expect},
    Known{"referer", FieldName::referer},
    Known{"upgrade", FieldName::upgrade},
    Known{"forwarded", FieldName::forwarded},
    Known{"x-real-ip", FieldName::x_forwarded_other},
    Known{"connection", FieldName::connection},
    Known{"keep-alive", FieldName::keep_alive},
    Known{"user-agent", FieldName::user_agent},
    Known{"max-forwards", FieldName::max_forwards},
    Known{"x-request-id", FieldName::x_request_id},
    Known{"cache-control", FieldName::cache_control},
    Known{"content-length", FieldName::content_length},
    Known{"http2-settings", FieldName::http2_settings},
    Known{"x-forwarded-for", FieldName::x_forwarded_for},
    Known{"proxy-connection", FieldName::proxy_connection},
    Known{"x-forwarded-host", FieldName::x_forwarded_host},
    Known{"transfer-encoding", FieldName::transfer_encoding},
    Known{"x-forwarded-proto", FieldName::x_forwarded_proto},
};
constexpr size_t kLongest = kKnown.back().text.size();

constexpr auto kFirstOfLength = [] {
  std::array<uint8_t, kLongest + 3> first{};
  for (size_t length = 0; length < first.size(); ++length) {
    size_t at = 0;
    while (at < kKnown.size() && kKnown[at].text.size() < length) ++at;
    first[length] = static_cast<uint8_t>(at);
  }
  return first;
}();

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr auto kTokenOctets = [] {
  std::array<bool, 256> allowed{};
  for (char c = 'a'; c <= 'z'; ++c)
    allowed[static_cast<size_t>(c)] = allowed[static_cast<size_t>(c - 32)] = true;
  for (char c = '0'; c <= '9'; ++c) allowed[static_cast<size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) allowed[static_cast<size_t>(c)] = true;
  return allowed;
}();

}  // namespace

FieldName field_name(std::string_view name) {
  const size_t length = std::min(name.size(), kLongest + 1);
  for (size_t at = kFirstOfLength[length]; at < kFirstOfLength[length + 1]; ++at) {
    if (equals_ignoring_case(name, kKnown[at].text)) return kKnown[at].name;
  }
  constexpr std::string_view kForwardedPrefix = "x-forwarded-";
  const bool forwarded = equals_ignoring_case(name.substr(0, kForwardedPrefix.size()), kForwardedPrefix);
  return forwarded ? FieldName::x_forwarded_other : FieldName::other;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return kTokenOctets[static_cast<unsigned char>(c)]; });
}

}  // namespace limpet::http
