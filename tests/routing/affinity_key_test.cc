#include "routing/affinity_key.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/routing/random_inputs.h"

namespace limpet::routing::affinity_key_test {

using Place = conf::SessionIdSource::Place;

conf::IpAddress address(const char* text) { return conf::IpAddress::parse(text).value(); }

std::vector<std::string> cookies(std::vector<Field> fields, std::string_view name) {
  std::vector<std::string> values;
  for_each_cookie(fields, name, [&](std::string_view value) {
    values.emplace_back(value);
    return false;
  });
  return values;
}

std::string id_in(const conf::SessionIdSource& source, std::string_view target,
                  std::vector<Field> fields = {}) {
  const IdsThere ids = ids_at(source, {.method = "GET", .target = target, .fields = fields, .client = {}});
  return ids.all().empty() ? "" : std::string(ids.all().front());
}

using Values = std::vector<std::string>;

TEST_CASE("addresses in one block are one client, and addresses in two are two") {
  const conf::IpAffinity affinity{.mask_v4 = 24, .mask_v6 = 64};
  CHECK(client_block(address("192.0.2.1"), affinity) == client_block(address("192.0.2.200"), affinity));
  CHECK(client_block(address("192.0.2.1"), affinity) != client_block(address("192.0.3.1"), affinity));
  CHECK(client_block(address("2001:db8::1"), affinity) ==
        client_block(address("2001:db8::ffff:1"), affinity));
  CHECK(client_block(address("2001:db8::1"), affinity) != client_block(address("2001:db8:0:1::1"), affinity));
}

TEST_CASE("a whole mask tells every IPv4 address apart, an empty one none, and never takes IPv4 for IPv6") {
  const conf::IpAffinity whole{.mask_v4 = 32, .mask_v6 = 128}, empty{.mask_v4 = 0, .mask_v6 = 0};
  CHECK(client_block(address("192.0.2.1"), whole) != client_block(address("192.0.2.2"), whole));
  CHECK(client_block(address("192.0.2.1"), empty) == client_block(address("10.1.1.1"), empty));
  CHECK(client_block(address("192.0.2.1"), empty) != client_block(address("2001:db8::1"), empty));
}

TEST_CASE("a peer without an address has no address key") {
  CHECK_FALSE(has_address({}));
  CHECK(has_address(address("::1")));
}

TEST_CASE("a cookie is found wherever it stands, over several Cookie fields, in order") {
  CHECK(cookies({{"Cookie", "a=1; sid=x; b=2"}, {"cookie", "sid=y"}, {"X", "sid=z"}}, "sid") ==
        Values{"x", "y"});
}

TEST_CASE("a cookie's name is compared whole and with case") {
  CHECK(cookies({{"Cookie", "SID=1; sid2=2; xsid=3; sid=4"}}, "sid") == Values{"4"});
}

TEST_CASE("a cookie's value loses its quotes and the white space around it, and nothing else") {
  CHECK(cookies({{"Cookie", "sid=\"quoted\";sid= spaced ; sid=a=b==; sid=\"; sid=\"\""}}, "sid") ==
        Values{"quoted", "spaced", "a=b==", "\"", ""});
}

TEST_CASE("crumbs of a broken Cookie field are no cookies") {
  CHECK(cookies({{"Cookie", ";;sid; =x; ; sid"}, {"Cookie", ""}}, "sid").empty());
}

TEST_CASE("a session id is found in a cookie, a header, the query and a path parameter") {
  CHECK(id_in({Place::cookie, "JSESSIONID"}, "/", {{"Cookie", "JSESSIONID=A1.node1"}}) == "A1.node1");
  CHECK(id_in({Place::header, "Mcp-Session-Id"}, "/", {{"mcp-session-id", "A2"}}) == "A2");
  CHECK(id_in({Place::query, "sid"}, "/x?a=1&sid=A3&b=2") == "A3");
  CHECK(id_in({Place::path, "jsessionid"}, "/x/y;jsessionid=A4?q") == "A4");
}

TEST_CASE("a path parameter is found in any segment, beside others, and only in the path") {
  const conf::SessionIdSource path{Place::path, "jsessionid"};
  CHECK(id_in(path, "/a;v=1;jsessionid=X/b/c.html?q=1") == "X");
  CHECK(id_in(path, "/a;jsessionid=X;v=1/b") == "X");
  CHECK(id_in(path, "/;jsessionid=X") == "X");
  CHECK(id_in(path, "/a?;jsessionid=X").empty());
  CHECK(id_in(path, "/jsessionid=X").empty());
  CHECK(id_in(path, "/a;xjsessionid=X").empty());
  CHECK(id_in(path, "/a;JSESSIONID=X").empty());
  CHECK(id_in(path, "").empty());
}

TEST_CASE("a query parameter is found by its whole name and only in the query") {
  const conf::SessionIdSource query{Place::query, "sid"};
  CHECK(id_in(query, "/?xsid=1&sid=2&sid=3") == "2");
  CHECK(id_in(query, "/sid=1").empty());
  CHECK(id_in(query, "/?sid").empty());
  CHECK(id_in(query, "/x?").empty());
}

TEST_CASE("an empty id and one of more than 4 KiB are no ids, and the next one counts") {
  const std::string longest(4096, 'a'), longer(4097, 'a');
  const conf::SessionIdSource header{Place::header, "sid"}, cookie{Place::cookie, "sid"},
      query{Place::query, "sid"};
  CHECK(id_in(header, "/", {{"sid", longest}}) == longest);
  CHECK(id_in(header, "/", {{"sid", longer}}).empty());
  CHECK(id_in(header, "/", {{"sid", ""}, {"sid", "b"}}) == "b");
  CHECK(id_in(cookie, "/", {{"Cookie", "sid=; sid=\"\"; sid=b"}}) == "b");
  CHECK(id_in(query, "/?sid=&sid=b") == "b");
}

TEST_CASE("of one place the first eight different ids are looked at") {
  std::string cookies = "sid=0; sid=0";
  for (int i = 1; i < 20; ++i) cookies += "; sid=" + std::to_string(i);
  const std::vector<Field> fields = {{"Cookie", cookies}};
  const IdsThere ids =
      ids_at({Place::cookie, "sid"}, {.method = "GET", .target = "/", .fields = fields, .client = {}});
  REQUIRE(ids.all().size() == 8);
  for (size_t i = 0; i < 8; ++i) CHECK(ids.all()[i] == std::to_string(i));
}

TEST_CASE("the first source that holds an id wins, whatever the order in the request") {
  const conf::SessionIdAffinity affinity{
      {{Place::cookie, "sid"}, {Place::header, "X-Session"}, {Place::query, "s"}}};
  const auto found = [&](std::string_view target, std::vector<Field> fields) {
    const RequestView request{.method = "GET", .target = target, .fields = fields, .client = {}};
    const auto [source, ids] = first_ids(affinity, request);
    CHECK((source == nullptr) == ids.all().empty());
    return source == nullptr ? "" : std::string(ids.all().front());
  };
  CHECK(found("/?s=query", {{"X-Session", "header"}, {"Cookie", "sid=cookie"}}) == "cookie");
  CHECK(found("/?s=query", {{"X-Session", "header"}, {"Cookie", "sid="}}) == "header");
  CHECK(found("/?s=query", {}) == "query");
  CHECK(found("/", {}).empty());
}

TEST_CASE("whatever bytes come, an id is a piece of them, neither empty nor longer than 4 KiB") {
  LIMPET_RANDOM_INPUTS(901);
  const std::string alphabet = "sid=;&?/#\" \t\x01a\xff";
  for (int i = 0; i < 50000; ++i) {
    std::string bytes;
    for (uint64_t n = inputs.below(inputs.one_in(1000) ? 9000 : 40); n > 0; --n)
      bytes += alphabet[inputs.below(alphabet.size())];
    const std::vector<Field> fields = {{"Cookie", bytes}, {"sid", bytes}};
    const RequestView request{.method = "GET", .target = bytes, .fields = fields, .client = {}};
    for (const Place place : {Place::cookie, Place::header, Place::query, Place::path}) {
      const IdsThere ids = ids_at({place, "sid"}, request);
      for (const std::string_view id : ids.all()) {
        REQUIRE(id.data() >= bytes.data());
        REQUIRE(id.data() + id.size() <= bytes.data() + bytes.size());
        REQUIRE(!id.empty());
        REQUIRE(id.size() <= 4096);
      }
    }
  }
}

}  // namespace limpet::routing::affinity_key_test
