// Backends that authenticate a connection: whose it is from then on, and for how long (RFC 4559, section 6).
#include "src/proxy/own_connections.h"

#include "src/net/descriptors.h"
#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::proxy::own_connections_test {

using namespace limpet::test;

constexpr std::string_view kLogin = "GET /login HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate YII=\r\n\r\n";
constexpr std::string_view kPost = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

std::string challenge(std::string_view fields, int status = 401) {
  return "HTTP/1.1 " + std::to_string(status) + " Who\r\n" + std::string(fields) +
         "\r\nContent-Length: 0\r\n\r\n";
}

TEST_CASE("after a challenge of the connection it serves the client that was asked, and nobody else") {
  for (const auto& [fields, status] :
       {std::pair{"WWW-Authenticate: NTLM", 401}, std::pair{"WWW-Authenticate: Basic, negotiate YII=", 401},
        std::pair{"Proxy-Authenticate: Negotiate", 407}}) {
    Proxy proxy;
    FakeStream& one = proxy.client();
    FakeStream& other = proxy.client();
    one.sends(kGet);
    proxy.backend(0).sends(challenge(fields, status));
    other.sends(kGet);
    proxy.backend(1).sends(kOk);
    one.sends(kLogin);
    proxy.backend(0).sends(kOk);
    one.sends(kGet);
    proxy.backend(0).sends(kOk);
    other.sends(kGet);
    CHECK(count(proxy.backend(0).received, "GET ") == 3);
    CHECK(count(proxy.backend(1).received, "GET ") == 2);
  }
}

TEST_CASE("credentials of the connection make it the client's, whatever the answer says") {
  Proxy proxy;
  FakeStream& one = proxy.client();
  FakeStream& other = proxy.client();
  one.sends(kGet);
  proxy.backend(0).sends(kOk);
  one.sends(kLogin);
  proxy.backend(0).sends(kOk);
  other.sends(kGet);
  CHECK(proxy.net.dials() == 2);
  CHECK(count(proxy.backend(0).received, "GET ") == 2);
}

TEST_CASE("other schemes, and the same words in other answers, leave the connection to everybody") {
  for (const std::string& answer :
       {challenge("WWW-Authenticate: Basic realm=\"NTLM\""), challenge("WWW-Authenticate: NTLM", 403)}) {
    Proxy proxy;
    FakeStream& one = proxy.client();
    FakeStream& other = proxy.client();
    one.sends(kGet);
    proxy.backend(0).sends(answer);
    other.sends("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer Negotiate\r\n\r\n");
    CHECK(proxy.net.dials() == 1);
  }
}

TEST_CASE("it is closed with the client's connection, however that ends") {
  for (const bool by_reset : {false, true}) {
    Proxy proxy;
    FakeStream& client = proxy.client();
    client.sends(kLogin);
    proxy.backend(0).sends(kOk);
    CHECK(proxy.dialed(0).open());
    by_reset ? client.sends_abort() : client.sends_end();
    CHECK_FALSE(proxy.dialed(0).open());
  }
}

TEST_CASE("it is used again however long it was idle, by a request too that must not be repeated") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kLogin);
  proxy.backend(0).sends(kOk);
  proxy.net.pass(20'000);
  client.sends(kPost);
  CHECK(proxy.net.dials() == 1);
  CHECK(contains(proxy.dialed(0).received, "POST "));
}

TEST_CASE("one that its backend ends is replaced by a connection that belongs to nobody") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kLogin);
  proxy.backend(0).sends(kOk);
  proxy.dialed(0).sends_end();
  CHECK_FALSE(proxy.dialed(0).open());
  client.sends(kGet);
  proxy.backend(1).sends(kOk);
  proxy.client().sends(kGet);
  CHECK(proxy.net.dials() == 2);
}

TEST_CASE("a failover gives it up") {
  Proxy proxy(2, {Kind::ip});
  FakeStream& client = proxy.client();
  client.sends(kLogin);
  proxy.backend(0).sends(kOk);
  const routing::Slot home = proxy.dialed(0).address()->port == 9000 ? 0 : 1;
  proxy.put(home, routing::BackendState::down);
  CHECK_FALSE(proxy.dialed(0).open());
  client.sends(kGet);
  proxy.backend(1).sends(kOk);
  CHECK(proxy.dialed(1).address()->port != proxy.dialed(0).address()->port);
  proxy.put(home, routing::BackendState::up);
  client.sends(kGet);
  CHECK(proxy.net.dials() == 2);
}

TEST_CASE("a request that any backend may serve goes where its client's own connection leads") {
  conf::Settings settings = settings_of(2, {Kind::cookie});
  settings.pools[0].stateless_paths = {"/static"};
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend(0);
  backend.sends(challenge("WWW-Authenticate: NTLM"));
  for (int i = 0; i < 4; ++i) {
    client.sends(kLogin);
    backend.sends(kOk);
    client.sends("GET /static/logo HTTP/1.1\r\nHost: a\r\n\r\n");
    backend.sends(kOk);
  }
  CHECK(proxy.net.dials() == 1);
  CHECK(count(client.received, "200 OK") == 8);
}

TEST_CASE("a session whose home is elsewhere goes home, and the connection is given up") {
  conf::Settings settings = settings_of(2, {Kind::session_id});
  Proxy proxy(settings);
  const std::string with_id = "GET /x HTTP/1.1\r\nHost: a\r\nCookie: JSESSIONID=there\r\n\r\n";
  FakeStream& other = proxy.client();
  other.sends(kGet);
  proxy.backend(0).sends("HTTP/1.1 200 OK\r\nSet-Cookie: JSESSIONID=there\r\nContent-Length: 0\r\n\r\n");
  proxy.net.pass(3'000);  // until what its address asks for without a key goes elsewhere
  FakeStream& client = proxy.client();
  client.sends(kLogin);
  proxy.backend(1).sends(kOk);
  REQUIRE(proxy.dialed(0).address()->port != proxy.dialed(1).address()->port);
  client.sends(with_id);
  CHECK(contains(proxy.dialed(0).received, "there"));
  CHECK_FALSE(proxy.dialed(1).open());
}

TEST_CASE("descriptors that are short are not taken from it") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kLogin);
  proxy.backend(0).sends(kOk);
  proxy.context().give_up_idle(net::kAnyDescriptor);
  CHECK(proxy.dialed(0).open());
}

}  // namespace limpet::proxy::own_connections_test
