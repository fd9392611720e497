// How a connection begins where TLS is spoken.
#include "src/proxy/entrance.h"
#include "tests/src/proxy/safe_proxy.h"

namespace limpet::proxy::entrance_tls_test {

using namespace limpet::test;

constexpr std::string_view kHeader = "PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n";

TEST_CASE("a request through TLS is served, and its backend is told of that") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const size_t piece : {size_t{1}, kAll}) {
      SafeProxy proxy;
      SafeClient client(proxy.client(), version);
      client.carry(piece);
      REQUIRE(client.tls.is_open());
      client.ask(kGet);
      FakeStream& backend = proxy.backend();
      CHECK(contains(backend.received, "\r\nX-Forwarded-Proto: https\r\n"));
      backend.sends(kOk);
      client.hear();
      CHECK(client.tls.plain.ends_with("\r\n\r\nok"));
    }
  }
}

TEST_CASE("a PROXY header comes before TLS, in the same read or in pieces") {
  for (const size_t piece : {size_t{1}, size_t{50}, kAll}) {
    SafeProxy proxy(true);
    SafeClient client(proxy.client("192.0.2.99"));
    client.below.say(kHeader);
    client.carry(piece);
    REQUIRE(client.tls.is_open());
    client.ask(kGet);
    CHECK(contains(proxy.backend().received, "\r\nX-Forwarded-For: 198.51.100.7\r\n"));
  }
}

TEST_CASE("a PROXY header within TLS is none") {
  SafeProxy proxy(true);
  FakeStream& client = proxy.client();
  SafeClient peer(client);
  peer.carry();
  CHECK_FALSE(client.open());
  CHECK(client.received == "");
}

TEST_CASE("whoever has connected by TLS before a shutdown is served") {
  SafeProxy proxy;
  FakeStream& silent = proxy.client();
  SafeClient begun(proxy.client());
  begun.below.sends(begun.tls.output());
  proxy.shut_down();
  CHECK(begun.below.open());
  begun.hear();
  begun.carry();
  REQUIRE(begun.tls.is_open());
  begun.ask(kGet);
  proxy.backend().sends(kOk);
  begun.hear();
  CHECK(begun.tls.was_ended());

  CHECK(silent.open());
  proxy.net.pass(2000);
  CHECK_FALSE(silent.open());
}

TEST_CASE("whoever has sent a PROXY header, and nothing behind it, is not waited for long at a shutdown") {
  SafeProxy proxy(true);
  FakeStream& client = proxy.client();
  client.sends(kHeader);
  proxy.shut_down();
  CHECK(client.open());
  proxy.net.pass(2000);
  CHECK_FALSE(client.open());
}

TEST_CASE("a handshake that does not come in time ends its connection") {
  SafeProxy proxy;
  FakeStream& silent = proxy.client();
  SafeClient slow(proxy.client());
  slow.below.sends(slow.tls.output().substr(0, 20));
  proxy.net.pass(static_cast<unsigned>(proxy.settings.timeouts.handshake.count()) + 1000);
  CHECK_FALSE(silent.open());
  CHECK_FALSE(slow.below.open());
  CHECK_FALSE(proxy.has_clients());
}

TEST_CASE("what is no TLS ends its connection, and nothing of it is served") {
  SafeProxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  CHECK_FALSE(client.open());
  CHECK_FALSE(contains(client.received, "HTTP"));
  CHECK(proxy.net.dials() == 0);
  CHECK_FALSE(proxy.has_clients());
}

TEST_CASE("a client that leaves within the handshake leaves nothing behind") {
  for (const bool resets : {false, true}) {
    SafeProxy proxy;
    SafeClient client(proxy.client());
    client.below.sends(client.tls.output());
    resets ? client.below.sends_abort() : client.below.sends_end();
    CHECK_FALSE(client.below.open());
    CHECK_FALSE(proxy.has_clients());
  }
}

TEST_CASE("a client that closes TLS in good order has left") {
  SafeProxy proxy;
  SafeClient client(proxy.client());
  client.carry();
  client.tls.end();
  client.carry();
  CHECK_FALSE(client.below.open());
  CHECK_FALSE(proxy.has_clients());
}

TEST_CASE("a handshake goes on with the certificate that it began with, and the next has the new one") {
  SafeProxy proxy;
  SafeClient begun(proxy.client());
  begun.below.sends(begun.tls.output());
  const Issued other = issue({.names = "DNS:other.example"});
  proxy.show(identity_of({other}));
  begun.hear();
  begun.carry();
  REQUIRE(begun.tls.is_open());
  begun.ask(kGet);
  proxy.backend().sends(kOk);
  begun.hear();
  CHECK(contains(begun.tls.plain, "200 OK"));
  SafeClient next(proxy.client());
  next.carry();
  const std::unique_ptr<X509, net::FreeX509> shown(SSL_get1_peer_certificate(next.tls.tls()));
  CHECK(X509_cmp(shown.get(), other.certificate.get()) == 0);
}

TEST_CASE("a PROXY header that took its time takes none of the handshake's") {
  SafeProxy proxy(true);
  SafeClient client(proxy.client());
  const auto nearly = [](conf::Duration time) { return static_cast<unsigned>(time.count()) - 1000; };
  proxy.net.pass(nearly(proxy.settings.timeouts.head));
  client.below.sends(kHeader);
  proxy.net.pass(nearly(proxy.settings.timeouts.handshake));
  client.carry();
  CHECK(client.tls.is_open());
}

TEST_CASE("a client may use each ticket once: every connection that is answered brings the next") {
  SafeProxy proxy;
  std::shared_ptr<SSL_SESSION> session;
  for (int visit = 0; visit < 4; ++visit) {
    SafeClient client(proxy.client(), TLS1_3_VERSION, session.get());
    client.carry();
    CHECK(client.tls.is_resumed() == (visit != 0));
    client.ask("GET /x HTTP/1.1\r\n\r\n");  // without a Host: answered here
    const std::shared_ptr<SSL_SESSION> next(SSL_get1_session(client.tls.tls()), SSL_SESSION_free);
    CHECK(next != session);
    session = next;
  }
}

TEST_CASE("handshakes are counted by how they ended, and one that was never begun is none") {
  SafeProxy proxy;
  SafeClient good(proxy.client());
  good.carry();
  good.ask("GET /x HTTP/1.1\r\n\r\n");  // without a Host: answered here
  const std::shared_ptr<SSL_SESSION> session(SSL_get1_session(good.tls.tls()), SSL_SESSION_free);
  SafeClient again(proxy.client(), TLS1_3_VERSION, session.get());
  again.carry();
  CHECK(proxy.handshakes(HandshakeEnd::full) == 1);
  CHECK(proxy.handshakes(HandshakeEnd::resumed) == 1);

  proxy.client().sends_end();
  proxy.client();
  proxy.net.pass(60'000);
  CHECK(proxy.handshakes(HandshakeEnd::failed) == 0);

  proxy.client().sends(kGet);
  CHECK(proxy.handshakes(HandshakeEnd::failed) == 1);
  FakeStream& cut = proxy.client();
  cut.sends(SafeClient(cut).tls.output());
  cut.sends_end();
  CHECK(proxy.handshakes(HandshakeEnd::failed) == 2);
  FakeStream& slow = proxy.client();
  slow.sends(SafeClient(slow).tls.output());
  proxy.net.pass(60'000);
  CHECK(proxy.handshakes(HandshakeEnd::failed) == 3);
  CHECK(proxy.handshakes(HandshakeEnd::full) == 1);
}

TEST_CASE("beyond the bound of handshakes the one that began first is given up for the one that comes") {
  SafeProxy proxy(false, 3);
  SafeClient first(proxy.client()), second(proxy.client()), third(proxy.client());
  for (SafeClient* client : {&first, &second, &third}) client->below.sends(client->tls.output());
  second.hear();
  second.carry();
  CHECK(second.tls.is_open());  // and makes room
  SafeClient fourth(proxy.client());
  CHECK(first.below.open());
  SafeClient fifth(proxy.client());
  CHECK_FALSE(first.below.open());
  CHECK(third.below.open());
  CHECK(proxy.handshakes(HandshakeEnd::failed) == 1);
  CHECK(proxy.context().handshakes.count() == 3);
  for (SafeClient* client : {&fourth, &fifth}) {
    client->carry();
    CHECK(client->tls.is_open());
  }
  CHECK(proxy.context().handshakes.count() == 1);
  third.below.sends_end();
  CHECK(proxy.context().handshakes.count() == 0);
}

}  // namespace limpet::proxy::entrance_tls_test
