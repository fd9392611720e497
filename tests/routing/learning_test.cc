#include "routing/learning.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/routing/random_inputs.h"

namespace limpet::routing::learning_test {

using Place = conf::SessionIdSource::Place;

constexpr uint32_t kNow = 1'700'000'000;
using Ids = std::vector<std::string>;

struct Exchange {
  std::vector<conf::SessionIdSource> sources;
  std::vector<Field> request_fields;
  std::vector<Field> response_fields;
  std::string_view method = "GET";
  std::string_view target = "/";
  int status = 200;
  mutable McpPaths paths{};

  Learned learned() const {
    const RequestView request{.method = method, .target = target, .fields = request_fields, .client = {}};
    return learn({sources}, request, {.status = status, .fields = response_fields}, paths, kNow);
  }
  Ids set() const {
    const Learned ids = learned();
    return {ids.set().begin(), ids.set().end()};
  }
  Ids deleted() const {
    const Learned ids = learned();
    return {ids.deleted().begin(), ids.deleted().end()};
  }
};

const conf::SessionIdSource kCookie{Place::cookie, "sid"};
const conf::SessionIdSource kPath{Place::path, "jsessionid"};
const conf::SessionIdSource kMcp{Place::header, "Mcp-Session-Id"};

Exchange answered_with_cookie(std::string_view set_cookie) {
  return {.sources = {kCookie},
          .request_fields = {{"Cookie", "sid=old"}},
          .response_fields = {{"Set-Cookie", set_cookie}}};
}

Exchange redirected_to(std::string_view location) {
  return {.sources = {kPath},
          .request_fields = {{"Host", "shop.example:8080"}},
          .response_fields = {{"Location", location}}};
}

TEST_CASE("a cookie that the application sets is an id that it made") {
  CHECK(answered_with_cookie("sid=new").set() == Ids{"new"});
  CHECK(answered_with_cookie("sid=\"new\"; Path=/; HttpOnly").set() == Ids{"new"});
  CHECK(answered_with_cookie("sid=new; Max-Age=3600; Expires=Thu, 01 Jan 2099 00:00:00 GMT").set() ==
        Ids{"new"});
  CHECK(answered_with_cookie("sid=new").deleted().empty());
}

TEST_CASE("a cookie of another name teaches nothing") {
  CHECK(answered_with_cookie("SID=new").set().empty());
  CHECK(answered_with_cookie("sid").set().empty());
  CHECK(answered_with_cookie("other=1; sid=new").set().empty());
  CHECK(answered_with_cookie("other=; Max-Age=0").deleted().empty());
}

TEST_CASE(
    "an empty value, a Max-Age that is not above 0 and an Expires that has passed delete the request's id") {
  for (const char* field :
       {"sid=", "sid=\"\"", "sid=x; Max-Age=0", "sid=x; max-age = -1", "sid=x; Max-Age=-00",
        "sid=deleted; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "sid=x; EXPIRES=1-Jan-99 0:0:0"}) {
    CAPTURE(field);
    CHECK(answered_with_cookie(field).deleted() == Ids{"old"});
    CHECK(answered_with_cookie(field).set().empty());
  }
}

TEST_CASE("Max-Age beats Expires, wherever it stands") {
  CHECK(answered_with_cookie("sid=new; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT").set() ==
        Ids{"new"});
  CHECK(answered_with_cookie("sid=new; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=10").set() ==
        Ids{"new"});
  CHECK(answered_with_cookie("sid=x; Max-Age=0; Expires=Thu, 01 Jan 2099 00:00:00 GMT").deleted() ==
        Ids{"old"});
}

TEST_CASE("an attribute that cannot be read is as if it were not there") {
  CHECK(answered_with_cookie("sid=new; Max-Age=; Expires=soon").set() == Ids{"new"});
  CHECK(answered_with_cookie("sid=new; Max-Age=0x; Max-Age=-").set() == Ids{"new"});
  CHECK(answered_with_cookie("sid=x; Max-Age=never; Expires=Thu, 01 Jan 1970 00:00:00 GMT").deleted() ==
        Ids{"old"});
}

Ids set_by(std::vector<Field> fields, std::string_view target = "/") {
  Exchange exchange = answered_with_cookie("other=1");
  exchange.response_fields = std::move(fields);
  exchange.target = target;
  return exchange.set();
}
Ids deleted_by(std::string_view field, std::string_view target = "/", std::string_view cookies = "sid=old") {
  Exchange exchange = answered_with_cookie(field);
  exchange.request_fields = {{"Cookie", cookies}, {"Host", "app.shop.example:8080"}};
  exchange.target = target;
  return exchange.deleted();
}

TEST_CASE(
    "cookies of one name differ by domain and path: each id that is set is learned (RFC 6265, section 5.3)") {
  CHECK(set_by({{"Set-Cookie", "sid=a; Path=/"}, {"Set-Cookie", "sid=b; Path=/shop"}}) == Ids{"a", "b"});
  CHECK(set_by({{"Set-Cookie", "sid=a; Domain=.X.example"}, {"Set-Cookie", "sid=b; Domain=x.Example"}}) ==
        Ids{"b"});
  CHECK(set_by({{"Set-Cookie", "sid=NEW; Path=/"}, {"Set-Cookie", "sid=; Path=/old; Max-Age=0"}}) ==
        Ids{"NEW"});
  CHECK(set_by({{"Set-Cookie", "sid=; Path=/old; Max-Age=0"}, {"Set-Cookie", "sid=NEW; Path=/"}}) ==
        Ids{"NEW"});
}

TEST_CASE("a deletion under a path or a domain that the request's cookie cannot have ends nothing") {
  CHECK(deleted_by("sid=; Path=/legacy; Max-Age=0").empty());
  CHECK(deleted_by("sid=; Path=/legacy", "/legacyish").empty());
  CHECK(deleted_by("sid=; Domain=other.example").empty());
  CHECK(deleted_by("sid=; Domain=hop.example").empty());
  CHECK(deleted_by("sid=; Path=/shop", "/shop") == Ids{"old"});
  CHECK(deleted_by("sid=; Path=/shop", "/shop/logout?x") == Ids{"old"});
  CHECK(deleted_by("sid=; Path=/shop/", "/shop/logout") == Ids{"old"});
  CHECK(deleted_by("sid=; Path=relative", "/shop/logout") == Ids{"old"});
  CHECK(deleted_by("sid=; Domain=.Shop.example") == Ids{"old"});
  CHECK(deleted_by("sid=; Domain=app.shop.example; Path=/") == Ids{"old"});
}

TEST_CASE("where the request carried several ids of one name nobody knows which a deletion ends") {
  CHECK(deleted_by("sid=; Max-Age=0", "/", "sid=a; sid=b").empty());
  CHECK(deleted_by("sid=; Max-Age=0", "/", "sid=a; sid=a") == Ids{"a"});
}

TEST_CASE("of several fields for one cookie the last decides") {
  Exchange exchange = answered_with_cookie("sid=; Max-Age=0");
  exchange.response_fields.push_back({"set-cookie", "sid=new"});
  CHECK(exchange.set() == Ids{"new"});
  CHECK(exchange.deleted().empty());
  exchange.response_fields.push_back({"SET-COOKIE", "sid=; Max-Age=0"});
  CHECK(exchange.set().empty());
  CHECK(exchange.deleted() == Ids{"old"});
}

TEST_CASE("deleting a cookie that the request did not carry ends nothing") {
  Exchange exchange = answered_with_cookie("sid=gone; Max-Age=0");
  exchange.request_fields = {{"Cookie", "other=old"}};
  CHECK(exchange.deleted().empty());
}

TEST_CASE("a header that the application sets is an id that it made, and the last one counts") {
  Exchange exchange{.sources = {kMcp}, .request_fields = {}, .response_fields = {{"mcp-session-id", "a"}}};
  CHECK(exchange.set() == Ids{"a"});
  exchange.response_fields.push_back({"Mcp-Session-Id", "b"});
  exchange.response_fields.push_back({"Mcp-Session-Id", ""});
  CHECK(exchange.set() == Ids{"b"});
}

TEST_CASE("a DELETE answered 2xx and any request answered 404 end an MCP session") {
  Exchange exchange{.sources = {kMcp}, .request_fields = {{"Mcp-Session-Id", "old"}}, .response_fields = {}};
  CHECK(exchange.deleted().empty());
  exchange.status = 404;
  CHECK(exchange.deleted().empty());  // nobody has set an id here
  exchange.paths.add("/?begins");
  CHECK(exchange.deleted() == Ids{"old"});
  exchange.target = "/elsewhere";
  CHECK(exchange.deleted().empty());
  exchange.method = "DELETE";
  exchange.status = 204;
  CHECK(exchange.deleted() == Ids{"old"});
  exchange.status = 405;  // the server does not let clients end sessions
  CHECK(exchange.deleted().empty());
}

TEST_CASE("an MCP session that ends is not set by the same answer's echo of its id") {
  const Exchange exchange{.sources = {kMcp},
                          .request_fields = {{"Mcp-Session-Id", "old"}},
                          .response_fields = {{"Mcp-Session-Id", "old"}},
                          .method = "DELETE",
                          .status = 200};
  CHECK(exchange.deleted() == Ids{"old"});
  CHECK(exchange.set().empty());
}

TEST_CASE("the last sixteen paths are known at which MCP ids were set") {
  Exchange exchange{.sources = {kMcp}, .request_fields = {}, .response_fields = {{"Mcp-Session-Id", "a"}}};
  std::vector<std::string> targets;
  for (int i = 0; i < 17; ++i) targets.push_back("/" + std::to_string(i));
  for (const std::string& target : targets) {
    exchange.target = target;
    CHECK(exchange.set() == Ids{"a"});
    CHECK(exchange.set() == Ids{"a"});
  }
  CHECK_FALSE(exchange.paths.has("/0"));
  for (size_t i = 1; i < targets.size(); ++i) CHECK(exchange.paths.has(targets[i] + "?x"));
}

TEST_CASE(
    "a redirect's id that the client may have put there, or that would rename a session known otherwise, is "
    "none") {
  Exchange exchange = redirected_to("/x;jsessionid=EVIL");
  exchange.target = "/login?next=/x;jsessionid=EVIL";
  CHECK(exchange.set().empty());
  exchange.target = "/login";
  CHECK(exchange.set() == Ids{"EVIL"});
  exchange.sources = {kCookie, kPath};
  exchange.request_fields.push_back({"Cookie", "sid=mine"});
  CHECK(exchange.set().empty());
  exchange.request_fields.pop_back();
  exchange.target = "/login;jsessionid=OLD";
  CHECK(exchange.set() == Ids{"EVIL"});
  exchange.target = "/login;jsessionid=EVIL";
  CHECK(exchange.set() == Ids{"EVIL"});
}

TEST_CASE("under any other header's name a DELETE and a 404 speak of a resource, and end nothing") {
  Exchange exchange{.sources = {{Place::header, "X-Session-Id"}},
                    .request_fields = {{"X-Session-Id", "old"}},
                    .response_fields = {},
                    .method = "DELETE",
                    .target = "/cart/items/3",
                    .status = 204};
  CHECK(exchange.deleted().empty());
  exchange.status = 404;
  CHECK(exchange.deleted().empty());
}

TEST_CASE("a redirect's path parameter is an id that the application made") {
  CHECK(redirected_to("/home;jsessionid=N1.node2?x=1").set() == Ids{"N1.node2"});
  CHECK(redirected_to("home;jsessionid=N").set() == Ids{"N"});
  CHECK(redirected_to("http://Shop.Example:8080/home;jsessionid=N").set() == Ids{"N"});
  CHECK(redirected_to("//shop.example:8080/home;jsessionid=N").set() == Ids{"N"});
  CHECK(redirected_to("/home?back=//other/;jsessionid=N").set().empty());
}

TEST_CASE("a redirect to another host says nothing about this application's ids") {
  CHECK(redirected_to("https://login.example/x;jsessionid=N").set().empty());
  CHECK(redirected_to("//login.example/x;jsessionid=N").set().empty());
  CHECK(redirected_to("https://shop.example:8080.evil/x;jsessionid=N").set().empty());
}

TEST_CASE("an id that several sources set is learnt once, and different ones in the sources' order") {
  Exchange exchange{.sources = {kPath, kCookie},
                    .request_fields = {},
                    .response_fields = {{"Set-Cookie", "sid=A"}, {"Location", "/;jsessionid=A"}}};
  CHECK(exchange.set() == Ids{"A"});
  exchange.response_fields[1].value = "/;jsessionid=B";
  CHECK(exchange.set() == Ids{"B", "A"});
}

TEST_CASE("an answer teaches at most four ids") {
  Exchange exchange;
  std::vector<std::string> fields;
  for (int i = 0; i < 10; ++i) fields.push_back("c" + std::to_string(i) + "=" + std::to_string(i));
  for (int i = 0; i < 10; ++i) {
    exchange.sources.push_back({Place::cookie, "c" + std::to_string(i)});
    exchange.response_fields.push_back({"Set-Cookie", fields[static_cast<size_t>(i)]});
  }
  CHECK(exchange.set() == Ids{"0", "1", "2", "3"});
}

TEST_CASE("an id of more than 4 KiB is not learnt") {
  const std::string field = "sid=" + std::string(4097, 'a');
  CHECK(answered_with_cookie(field).set().empty());
}

TEST_CASE("whatever bytes an answer has, what is learnt is a piece of them or of the request") {
  LIMPET_RANDOM_INPUTS(902);
  const std::vector<std::string> pieces = {
      "sid", "=",     ";",  " ", "\"", "Max-Age", "Expires", "0", "-", "1 Jan 70 0:0:0",
      "/",   ";sid=", "//", "h", "#",  "?",       "\xff",    "x"};
  for (int i = 0; i < 50000; ++i) {
    std::string bytes;
    for (uint64_t n = inputs.below(15); n > 0; --n) bytes += pieces[inputs.below(pieces.size())];
    const Exchange exchange{
        .sources = {kCookie, {Place::path, "sid"}, {Place::header, "X-Session"}},
        .request_fields = {{"Cookie", bytes}, {"Host", "h"}},
        .response_fields = {{"Set-Cookie", bytes}, {"Location", bytes}, {"X-Session", bytes}}};
    for (const Ids& ids : {exchange.set(), exchange.deleted()}) {
      for (const std::string& id : ids) {
        REQUIRE(!id.empty());
        REQUIRE(bytes.find(id) != std::string::npos);
      }
    }
  }
}

}  // namespace limpet::routing::learning_test
