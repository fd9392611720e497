// WebSockets where the client, the backend or both speak HTTP/2 (RFC 8441).
#include "tests/src/proxy/h2_fixture.h"

namespace limpet::proxy::h2_web_socket_test {

using namespace limpet::test;

// RFC 6455, section 1.3.
constexpr std::string_view kUpgrade =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

Headers connect(std::string protocol = "websocket") {
  return {{":method", "CONNECT"}, {":protocol", std::move(protocol)}, {":scheme", "http"}, {":path", "/chat"},
          {":authority", "a"},    {"sec-websocket-version", "13"}};
}

// A client that has asked for a WebSocket, and waits for the answer.
struct Asker : Visit {
  explicit Asker(Proxy& proxy, std::string protocol = "websocket") : Visit(proxy) {
    peer.exchange();
    id = ask(connect(std::move(protocol)), true);
  }
  int32_t id;
};

const std::vector<nghttp2_settings_entry> kServesWebSockets{{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};

TEST_CASE(
    "a client's extended CONNECT is an upgrade for an HTTP/1.1 backend, and a tunnel once that switches") {
  Proxy proxy;
  Asker asker(proxy);
  H2Peer& client = asker.peer;
  const int32_t id = asker.id;
  FakeStream& backend = proxy.backend();
  CHECK(backend.received.starts_with("GET /chat HTTP/1.1\r\nHost: a\r\n"));
  CHECK(contains(backend.received, "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"));
  CHECK(contains(backend.received, "\r\nsec-websocket-version: 13\r\n"));
  const size_t key = backend.received.find("\r\nsec-websocket-key: ");
  REQUIRE(key != std::string::npos);
  CHECK(backend.received.substr(key + 21).find("\r\n") == 24);
  backend.sends(kSwitch);
  client.exchange();
  CHECK(client[id].status() == "200");
  CHECK(client[id].field("sec-websocket-protocol") == "chat");
  CHECK(client[id].field("sec-websocket-accept") == "");
  CHECK(client[id].field("upgrade") == "");
  CHECK_FALSE(client[id].ended);

  backend.received.clear();
  client.content(id, "ping");
  client.exchange();
  CHECK(backend.received == "ping");
  backend.sends("pong");
  client.exchange();
  CHECK(client[id].content == "pong");

  SUBCASE("the client ends it") {
    client.content(id, "", true);
    client.exchange();
    CHECK(backend.finished());
    backend.sends_end();
    client.exchange();
    CHECK(client[id].ended);
    CHECK(client[id].closed == NGHTTP2_NO_ERROR);
  }
  SUBCASE("the backend ends it") {
    backend.sends_end();
    client.exchange();
    CHECK(client[id].ended);
    client.content(id, "", true);
    client.exchange();
    CHECK_FALSE(backend.open());
  }
  SUBCASE("the client cancels it") {
    client.reset(id);
    client.exchange();
    CHECK_FALSE(backend.open());
  }
  CHECK(asker.stream.open());
}

TEST_CASE("a backend that does not switch answers as to any request") {
  Proxy proxy;
  Asker asker(proxy);
  H2Peer& client = asker.peer;
  const int32_t id = asker.id;
  proxy.backend().sends("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
  client.exchange();
  CHECK(client[id].status() == "403");
  CHECK(client[id].content == "no");
  CHECK(client[id].closed == NGHTTP2_NO_ERROR);
}

TEST_CASE("no other protocol is served by CONNECT") {
  for (const char* protocol : {"connect-udp", "webtransport", ""}) {
    Proxy proxy;
    Asker asker(proxy, protocol);
    H2Peer& client = asker.peer;
    const int32_t id = asker.id;
    CHECK(proxy.net.dials() == 0);
    CHECK((client[id].status() == "501" || client[id].closed == NGHTTP2_PROTOCOL_ERROR));
  }
}

TEST_CASE("an HTTP/1.1 client's upgrade is an extended CONNECT for a backend that serves those") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& stream = proxy.backend();
  CHECK_FALSE(contains(stream.received, "websocket"));  // it has not said yet whether it does
  H2Peer server(stream, H2Peer::Role::server, kServesWebSockets);
  server.exchange();
  CHECK(server[1].field(":method") == "CONNECT");
  CHECK(server[1].field(":protocol") == "websocket");
  CHECK(server[1].field(":path") == "/chat");
  CHECK(server[1].field("sec-websocket-version") == "13");
  CHECK(server[1].field("sec-websocket-key") == "");
  CHECK(server[1].field("upgrade") == "");
  CHECK_FALSE(server[1].ended);
  server.answer(1, {{":status", "200"}, {"sec-websocket-protocol", "chat"}}, true);
  server.exchange();
  CHECK(client.received.starts_with("HTTP/1.1 101 "));
  CHECK(contains(client.received, "\r\nsec-websocket-accept: " + std::string(kAccept) + "\r\n"));
  CHECK(contains(client.received, "\r\nUpgrade: websocket\r\n"));
  client.received.clear();
  client.sends("ping");
  server.exchange();
  CHECK(server[1].content == "ping");
  server.content(1, "pong");
  server.exchange();
  CHECK(client.received == "pong");
  client.sends_end();
  server.exchange();
  CHECK(server[1].ended);
  server.content(1, "", true);
  server.exchange();
  CHECK(client.finished());
  CHECK(stream.open());
}

TEST_CASE("a backend that serves no WebSockets over HTTP/2 gets the request without the upgrade") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  H2Peer server(proxy.backend(), H2Peer::Role::server);
  server.exchange();
  CHECK(server[1].field(":method") == "GET");
  CHECK(server[1].field("upgrade") == "");
  CHECK(server[1].ended);
  server.answer(1, {{":status", "400"}});
  server.exchange();
  CHECK(client.received.starts_with("HTTP/1.1 400 "));
}

TEST_CASE("a WebSocket passes from HTTP/2 to HTTP/2") {
  Proxy proxy(speaking_http2());
  Asker asker(proxy);
  H2Peer& client = asker.peer;
  const int32_t id = asker.id;
  H2Peer server(proxy.backend(), H2Peer::Role::server, kServesWebSockets);
  server.exchange();
  CHECK(server[1].field(":protocol") == "websocket");
  server.answer(1, {{":status", "200"}}, true);
  server.content(1, "hello");
  server.exchange();
  client.exchange();
  CHECK(client[id].status() == "200");
  CHECK(client[id].content == "hello");
  client.content(id, "bye", true);
  client.exchange();
  server.exchange();
  CHECK(server[1].content == "bye");
  CHECK(server[1].ended);
  server.content(1, "", true);
  server.exchange();
  client.exchange();
  CHECK(client[id].closed == NGHTTP2_NO_ERROR);
}

}  // namespace limpet::proxy::h2_web_socket_test
