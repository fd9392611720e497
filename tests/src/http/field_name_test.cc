#include "src/http/field_name.h"

#include <doctest/doctest.h>

#include <cctype>
#include <string>
#include <vector>

#include "tests/routing/random_inputs.h"

namespace limpet::http::field_name_test {

struct Known {
  const char* name;
  FieldName is;
};
constexpr Known kKnown[] = {{"Accept", FieldName::accept},
                            {"Cache-Control", FieldName::cache_control},
                            {"WWW-Authenticate", FieldName::challenge},
                            {"Proxy-Authenticate", FieldName::challenge},
                            {"Authorization", FieldName::credentials},
                            {"Proxy-Authorization", FieldName::credentials},
                            {"Connection", FieldName::connection},
                            {"Content-Length", FieldName::content_length},
                            {"Content-Type", FieldName::content_type},
                            {"Cookie", FieldName::cookie},
                            {"Date", FieldName::date},
                            {"Expect", FieldName::expect},
                            {"Forwarded", FieldName::forwarded},
                            {"Host", FieldName::host},
                            {"HTTP2-Settings", FieldName::http2_settings},
                            {"Keep-Alive", FieldName::keep_alive},
                            {"Max-Forwards", FieldName::max_forwards},
                            {"Proxy-Connection", FieldName::proxy_connection},
                            {"Referer", FieldName::referer},
                            {"TE", FieldName::te},
                            {"Transfer-Encoding", FieldName::transfer_encoding},
                            {"Upgrade", FieldName::upgrade},
                            {"User-Agent", FieldName::user_agent},
                            {"Via", FieldName::via},
                            {"X-Forwarded-For", FieldName::x_forwarded_for},
                            {"X-Forwarded-Host", FieldName::x_forwarded_host},
                            {"X-Forwarded-Proto", FieldName::x_forwarded_proto},
                            {"X-Forwarded-By", FieldName::x_forwarded_other},
                            {"X-Forwarded-Port", FieldName::x_forwarded_other},
                            {"X-Forwarded-Prefix", FieldName::x_forwarded_other},
                            {"X-Forwarded-Server", FieldName::x_forwarded_other},
                            {"X-Forwarded-Proto-Version", FieldName::x_forwarded_other},
                            {"X-Real-IP", FieldName::x_forwarded_other},
                            {"X-Request-Id", FieldName::x_request_id},
                            {"traceparent", FieldName::traceparent}};

std::vector<std::string> members(std::string_view list) {
  std::vector<std::string> out;
  for_each_member(list, [&](std::string_view member) { out.emplace_back(member); });
  return out;
}
using List = std::vector<std::string>;

TEST_CASE("a known field name is known in any case") {
  LIMPET_RANDOM_INPUTS(401);
  for (const Known& known : kKnown) {
    for (int i = 0; i < 20; ++i) {
      std::string name = known.name;
      for (char& c : name) c = static_cast<char>(inputs.one_in(2) ? std::toupper(c) : std::tolower(c));
      CAPTURE(name);
      CHECK(field_name(name) == known.is);
    }
  }
}

TEST_CASE("a name that is one octet off is another one, but for an underscore in a hyphen's place") {
  LIMPET_RANDOM_INPUTS(402);
  constexpr std::string_view kOctets = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^`|~";
  const auto is_known = [](std::string_view name) {
    for (const Known& known : kKnown)
      if (equals_ignoring_case(name, known.name)) return true;
    return equals_ignoring_case(name.substr(0, 12), "x-forwarded-");
  };
  for (const Known& known : kKnown) {
    const std::string name = known.name;
    std::vector<std::string> others{name + "s", "x" + name, name.substr(1), name.substr(0, name.size() - 1)};
    for (size_t at = 0; at < name.size(); ++at) {
      others.push_back(name);
      others.back()[at] = kOctets[inputs.below(kOctets.size())];
    }
    for (const std::string& other : others) {
      if (is_known(other)) continue;
      CAPTURE(other);
      CHECK(field_name(other) == FieldName::other);
    }
  }
  CHECK(field_name("") == FieldName::other);
  CHECK(field_name(std::string(1000, 'x')) == FieldName::other);
}

TEST_CASE("an ASCII letter's case is the only difference that is ignored") {
  CHECK(equals_ignoring_case("KEEP-alive", "keep-ALIVE"));
  CHECK_FALSE(equals_ignoring_case("a", "aa"));
  CHECK_FALSE(equals_ignoring_case("@[`{", "`{@["));
  CHECK_FALSE(equals_ignoring_case("\xc4", "\xe4"));
  CHECK_FALSE(equals_ignoring_case("-", "\r"));
  CHECK(equals_ignoring_case({}, ""));
}

TEST_CASE("a list is its members, trimmed, without the empty ones") {
  CHECK(members("a, b ,\tc\t") == List{"a", "b", "c"});
  CHECK(members(",, a,,b ,") == List{"a", "b"});
  CHECK(members("") == List{});
  CHECK(members(" , \t,") == List{});
}

TEST_CASE("a comma in a quoted string does not separate") {
  CHECK(members("a=\"b, c\", d") == List{"a=\"b, c\"", "d"});
  CHECK(members("a=\"\\\", b\", c") == List{"a=\"\\\", b\"", "c"});
  CHECK(members("a\\, b") == List{"a\\", "b"});
}

TEST_CASE("a quoted string without an end runs to the list's") {
  CHECK(members("a, \"b, c") == List{"a", "\"b, c"});
  CHECK(members("a, b=\"\\") == List{"a", "b=\"\\"});
  CHECK(members("a, b=\"\\\"") == List{"a", "b=\"\\\""});
}

TEST_CASE("a token has no separators, controls or octets beyond ASCII") {
  for (int octet = 0; octet < 256; ++octet) {
    const char c = static_cast<char>(octet);
    const bool expected = octet > 0x20 && octet < 0x7f &&
                          std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
    CAPTURE(octet);
    CHECK(is_token(std::string("a") + c) == expected);
  }
  CHECK_FALSE(is_token(""));
}

}  // namespace limpet::http::field_name_test
