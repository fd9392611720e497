// The client's side of TLS, without a socket.
#include "src/net/tls_client.h"

#include <algorithm>

#include "tests/support/tls_server.h"

namespace limpet::net::tls_client_test {

using namespace limpet::test;
using State = net::TlsClient::State;

struct Talk {
  // Carries bytes between the two, at most `most` at a time, until neither has any.
  void carry(size_t most = 1 << 20) {
    for (;;) {
      const std::string to_server = client.output();
      for (size_t at = 0; at < to_server.size(); at += most)
        server_got += server.receive(to_server.substr(at, most));
      const std::string to_client = server.output();
      for (size_t at = 0; at < to_client.size(); at += most)
        client_got += client.receive(to_client.substr(at, most));
      if (to_server.empty() && to_client.empty()) return;
    }
  }

  TlsServer servers;
  net::TlsContext context;
  TlsServer::Connection server{servers};
  net::TlsClient client{context, "app.internal"};
  std::string server_got, client_got;
};

TEST_CASE("TLS carries bytes both ways, however they are cut") {
  for (const size_t most : {size_t{1}, size_t{7}, size_t{1500}, size_t{1} << 20}) {
    CAPTURE(most);
    Talk talk;
    CHECK(talk.client.state() == State::handshake);
    talk.carry(most);
    REQUIRE(talk.client.state() == State::open);
    const std::string large(100'000, 'x');
    talk.client.send("question");
    talk.server.send("answer " + large);
    talk.carry(most);
    CHECK(talk.server_got == "question");
    CHECK(talk.client_got == "answer " + large);
    CHECK(talk.server.server_name == "app.internal");
  }
}

TEST_CASE("a TLS server that says that it ends is heard, with what it said before") {
  Talk talk;
  talk.carry();
  talk.server.send("last words");
  talk.server.close();
  talk.carry();
  CHECK(talk.client_got == "last words");
  CHECK(talk.client.state() == State::ended);
}

TEST_CASE("a TLS server hears that the client ends") {
  Talk talk;
  talk.carry();
  CHECK_FALSE(talk.server.was_closed());
  talk.client.close();
  talk.carry();
  CHECK(talk.server.was_closed());
}

TEST_CASE("what is not TLS fails the handshake, and says so") {
  Talk talk;
  CHECK(talk.client.receive("HTTP/1.1 400 Bad Request\r\n\r\n").empty());
  CHECK(talk.client.state() == State::failed);
  CHECK(talk.client.failure() == "wrong version number");
  CHECK(talk.client.receive("more").empty());
  CHECK(talk.client.state() == State::failed);
}

TEST_CASE("a TLS record that was tampered with ends the connection, after what came before it") {
  Talk talk;
  talk.carry();
  talk.server.send("true");
  std::string wire = talk.server.output();
  talk.server.send("false");
  wire += talk.server.output();
  wire.back() = static_cast<char>(wire.back() ^ 1);
  CHECK(talk.client.receive(wire) == "true");
  CHECK(talk.client.state() == State::failed);
  CHECK(talk.client.failure() == "decryption failed or bad record mac");
}

TEST_CASE("a name that TLS cannot tell fails before anything is sent") {
  net::TlsContext context;
  net::TlsClient client(context, std::string(300, 'a'));
  CHECK(client.state() == State::failed);
  CHECK_FALSE(client.failure().empty());
  CHECK(client.output().empty());
}

TEST_CASE("no name is told to a TLS server where there is none") {
  Talk talk;
  net::TlsClient nameless(talk.context, "");
  TlsServer::Connection server(talk.servers);
  server.receive(nameless.output());
  CHECK(server.server_name == "");
  CHECK_FALSE(server.output().empty());
}

}  // namespace limpet::net::tls_client_test
