#include "src/status/guard.h"

#include <doctest/doctest.h>
#include <unistd.h>

namespace limpet::status::guard_test {

// The status of the refusal; 0: it is let through.
int refusal(const Guard& guard, const Ask& ask, bool changes) {
  const auto refused = guard.refuse(ask, changes);
  return refused ? refused->status : 0;
}

Ask ask_at(std::string_view host) { return {.method = "GET", .target = "/status", .host = host}; }

Ask change(std::string_view authorization, std::string_view on_behalf = "") {
  return {.method = "POST",
          .target = "/reload",
          .host = "127.0.0.1:9180",
          .authorization = authorization,
          .on_behalf = on_behalf,
          .peer = "127.0.0.1"};
}

TEST_CASE("whoever calls by an address, as localhost or by a name without dots may read") {
  const Guard guard("");
  for (const char* host : {"127.0.0.1:9180", "127.0.0.1", "10.1.2.3:80", "[::1]:9180", "[2001:db8::1]",
                           "localhost", "localhost:9180", "limpet:9180", "lb1", "localhost.:9180", ""}) {
    CHECK_MESSAGE(refusal(guard, ask_at(host), false) == 0, std::string(host));
  }
}

TEST_CASE("a public name is refused, for a page may have made it ours") {
  for (const char* token : {"", "secret"}) {
    const Guard guard(token);
    for (const char* host : {"evil.example:9180", "evil.example", "127.0.0.1.evil.example",
                             "localhost.evil.example", "1.2.3", "[::1", "[]", "[evil.example]:80", "a.b."}) {
      CHECK_MESSAGE(refusal(guard, ask_at(host), false) == 403, std::string(host));
    }
  }
}

TEST_CASE("this machine's own name is accepted") {
  char name[256] = {};
  REQUIRE(gethostname(name, sizeof name - 1) == 0);
  CHECK(refusal(Guard(""), ask_at(std::string(name) + ":9180"), false) == 0);
}

TEST_CASE("with the token any name will do") {
  const Guard guard("secret");
  Ask ask = ask_at("status.example.com");
  CHECK(refusal(guard, ask, false) == 403);
  ask.authorization = "Bearer secret";
  CHECK(refusal(guard, ask, false) == 0);
  CHECK(refusal(guard, ask, true) == 0);
}

TEST_CASE(
    "by TLS any name may read, for the certificate is of that name, and a change needs the same as ever") {
  Ask ask = ask_at("status.example.com");
  ask.tls = true;
  CHECK(refusal(Guard("secret"), ask, false) == 0);
  CHECK(refusal(Guard("secret"), ask, true) == 401);
  CHECK(refusal(Guard(""), ask, true) == 403);
  CHECK(refusal(Guard("secret"), KeptAsk(ask).view(), false) == 0);
}

TEST_CASE("where there is a token a change needs it, whole and exact") {
  const Guard guard("secret");
  CHECK(refusal(guard, change("Bearer secret"), true) == 0);
  CHECK(refusal(guard, change("bearer  secret "), true) == 0);
  for (const char* given : {"", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer SECRET",
                            "secret", "Basic secret", "Bearer secret,secret", "Bearersecret"}) {
    CHECK_MESSAGE(refusal(guard, change(given, "alice"), true) == 401, std::string(given));
  }
}

TEST_CASE("another token is needed from then on, or none") {
  Guard guard("leaked");
  guard.require("secret");
  CHECK(refusal(guard, change("Bearer leaked", "alice"), true) == 401);
  CHECK(refusal(guard, change("Bearer secret"), true) == 0);
  guard.require("");
  CHECK(refusal(guard, change("", "alice"), true) == 0);
}

TEST_CASE("the refusal for want of the token says what is wanted and how") {
  const auto refused = Guard("secret").refuse(change(""), true);
  REQUIRE(refused);
  REQUIRE(refused->fields.size() == 1);
  CHECK(refused->fields[0].first == "WWW-Authenticate");
  CHECK(refused->fields[0].second.starts_with("Bearer"));
  CHECK(refused->body.find("secret") == std::string::npos);
}

TEST_CASE("where there is no token a change needs the field that no foreign page can send") {
  const Guard guard("");
  CHECK(refusal(guard, change("", "alice"), true) == 0);
  CHECK(refusal(guard, change("", ""), true) == 403);
  CHECK(refusal(guard, change("Bearer ", ""), true) == 403);
  CHECK(refusal(guard, change("Bearer anything", ""), true) == 403);
}

TEST_CASE("who asked is told with the address, and cannot forge the log") {
  CHECK(Guard::who(change("")) == "127.0.0.1");
  CHECK(Guard::who(change("", "alice")) == "alice from 127.0.0.1");
  const std::string forged = Guard::who(change("", "a\x1b[2J\nb"));
  CHECK(forged.find('\x1b') == std::string::npos);
  CHECK(forged.find('\n') == std::string::npos);
  CHECK(Guard::who(change("", std::string(5000, 'x'))).size() < 200);
}

}  // namespace limpet::status::guard_test
