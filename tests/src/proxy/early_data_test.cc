// Requests that come before the handshake is over, and may be copies.
#include "tests/src/proxy/safe_proxy.h"

namespace limpet::proxy::early_data_test {

using namespace limpet::test;

struct EarlyProxy : SafeProxy {
  EarlyProxy() {
    accept_early_data(true);
    SafeClient first(client());
    first.carry();
    first.ask("GET /x HTTP/1.1\r\n\r\n");  // without a Host: answered without a backend
    session = std::shared_ptr<SSL_SESSION>(SSL_get1_session(first.tls.tls()), SSL_SESSION_free);
    first.below.sends_end();
    REQUIRE(SSL_SESSION_get_max_early_data(session.get()) != 0);
  }
  std::shared_ptr<SSL_SESSION> session;
};

struct EarlyClient : SafeClient {
  EarlyClient(EarlyProxy& proxy, std::string_view early, size_t piece = kAll)
      : SafeClient(proxy.client(), TLS1_3_VERSION, proxy.session.get(), early) {
    below.say(tls.output());
    while (below.can_read()) below.read(piece);
  }
  bool was_taken() const { return SSL_get_early_data_status(tls.tls()) == SSL_EARLY_DATA_ACCEPTED; }
};

constexpr std::string_view kPost = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

TEST_CASE("an early GET is answered before the handshake is over, and its backend is told") {
  for (const size_t piece : {size_t{1}, kAll}) {
    EarlyProxy proxy;
    EarlyClient client(proxy, kGet, piece);
    FakeStream& backend = proxy.backend();
    CHECK(contains(backend.received, "\r\nEarly-Data: 1\r\n"));
    backend.sends(kOk);
    client.hear();
    CHECK(client.was_taken());
    CHECK(contains(client.tls.plain, "200 OK"));
    client.carry();
    backend.received.clear();
    client.ask(kGet);
    CHECK(contains(backend.received, "GET /x"));
    CHECK_FALSE(contains(backend.received, "Early-Data"));
  }
}

TEST_CASE("a client whose early request was its only one gets a ticket as well") {
  EarlyProxy proxy;
  EarlyClient client(proxy, kGet);
  proxy.backend().sends(kOk);
  client.hear();
  client.carry();
  const std::shared_ptr<SSL_SESSION> next(SSL_get1_session(client.tls.tls()), SSL_SESSION_free);
  CHECK(next != proxy.session);
  EarlyClient again(proxy, kGet);
  SafeClient later(proxy.client(), TLS1_3_VERSION, next.get());
  later.carry();
  CHECK(later.tls.is_resumed());
}

TEST_CASE("what may not be sent twice is answered 425 before the handshake is over, and served after it") {
  EarlyProxy proxy;
  EarlyClient client(proxy, kPost);
  CHECK(proxy.net.dials() == 0);
  client.hear();
  CHECK(contains(client.tls.plain, "HTTP/1.1 425 Too Early\r\n"));
  SafeClient again(proxy.client(), TLS1_3_VERSION, proxy.session.get());
  again.carry();
  again.ask(kPost);
  FakeStream& backend = proxy.backend();
  CHECK(contains(backend.received, "POST /x"));
  CHECK_FALSE(contains(backend.received, "Early-Data"));
}

TEST_CASE("an early request that upgrades, or has a body, is answered 425") {
  for (const std::string_view request :
       {"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    EarlyProxy proxy;
    EarlyClient client(proxy, request);
    client.hear();
    CHECK(contains(client.tls.plain, " 425 "));
    CHECK(proxy.net.dials() == 0);
  }
}

TEST_CASE("a backend's 425 is passed on") {
  EarlyProxy proxy;
  EarlyClient client(proxy, kGet);
  proxy.backend().sends("HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n");
  client.hear();
  CHECK(contains(client.tls.plain, "HTTP/1.1 425 Too Early\r\n"));
  CHECK(proxy.net.dials() == 1);
}

TEST_CASE("what an early client says of Early-Data itself is replaced") {
  for (const std::string_view own : {"Early-Data: 0", "early_data: 0"}) {
    EarlyProxy proxy;
    EarlyClient client(proxy, "GET /x HTTP/1.1\r\nHost: a\r\n" + std::string(own) + "\r\n\r\n");
    CHECK(contains(proxy.backend().received, "\r\nEarly-Data: 1\r\n"));
    CHECK_FALSE(contains(proxy.backend().received, own));
  }
}

TEST_CASE("a request that comes with the end of its handshake is no copy") {
  EarlyProxy proxy;
  SafeClient client(proxy.client(), TLS1_3_VERSION, proxy.session.get(), kPost);
  const std::string first = client.tls.output();
  const size_t hello = 5 + static_cast<unsigned char>(first[3]) * 256u + static_cast<unsigned char>(first[4]);
  client.below.sends(std::string_view(first).substr(0, hello));
  client.hear();
  client.below.sends(first.substr(hello) + client.tls.output());
  CHECK(contains(proxy.backend().received, "POST /x"));
  CHECK_FALSE(contains(proxy.backend().received, "Early-Data"));
}

TEST_CASE("an early answer that ends its connection is ended by TLS once the handshake is over") {
  EarlyProxy proxy;
  EarlyClient client(proxy, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  proxy.backend().sends(kOk);
  client.hear();
  CHECK(contains(client.tls.plain, "200 OK"));
  CHECK_FALSE(client.tls.was_ended());
  client.carry();
  CHECK(client.tls.was_ended());
}

TEST_CASE("an early client that leaves, or is cut, leaves nothing behind") {
  for (const bool resets : {false, true}) {
    EarlyProxy proxy;
    EarlyClient client(proxy, kGet);
    resets ? client.below.sends_abort() : client.below.sends_end();
    CHECK_FALSE(client.below.open());
    CHECK_FALSE(proxy.has_clients());
  }
}

TEST_CASE("a certificate that is changed within an early request's handshake is no matter to it") {
  EarlyProxy proxy;
  EarlyClient client(proxy, kGet);
  proxy.show(identity_of({issue({})}));
  proxy.backend().sends(kOk);
  client.hear();
  client.carry();
  CHECK(client.tls.is_open());
  CHECK(contains(client.tls.plain, "200 OK"));
}

TEST_CASE("where it is not accepted early data is passed over, and the handshake goes on") {
  EarlyProxy proxy;
  proxy.accept_early_data(false);
  EarlyClient client(proxy, kGet);
  client.hear();
  client.carry();
  REQUIRE(client.tls.is_open());
  CHECK_FALSE(client.was_taken());
  CHECK(proxy.net.dials() == 0);
  client.ask(kGet);
  CHECK(contains(proxy.backend().received, "GET /x"));
}

}  // namespace limpet::proxy::early_data_test
