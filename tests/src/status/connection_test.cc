#include "src/status/connection.h"

#include <doctest/doctest.h>

#include <random>

#include "tests/support/fake_net.h"
#include "tests/support/tls_identity.h"
#include "tests/support/tls_peer.h"

namespace limpet::status::connection_test {

using status::Connection;
using test::FakeStream;

constexpr char kGet[] = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";

// One connection to an endpoint that answers everything alike.
struct Scene final : status::ConnectionOwner {
  Scene() : stream(net.accept()) {
    connection = std::make_unique<Connection>(net.deadlines, *this, 1, "127.0.0.1");
    connection->attach(net::StreamPtr(&stream));
    stream.start(connection->as_owner());
  }
  ~Scene() { CHECK(net.fault == ""); }

  void on_asked(Connection&, const status::Ask& ask) override {
    asked.emplace_back(ask.target);
    by_tls = ask.tls;
    if (!answers_late) answer();
  }
  void answer() {
    status::Answer answer{200, "application/json", body};
    answer.events = asked.back() == "/events";
    connection->answer(answer);
  }
  void on_closed(Connection&) override { net.graveyard.bury(std::move(connection)); }
  bool is_open() const { return connection != nullptr; }
  bool has_sent(std::string_view part) const { return stream.received.find(part) != std::string::npos; }

  test::FakeNet net;
  FakeStream& stream;
  std::string body = "{}\n";
  bool answers_late = false;  // by answer()
  bool by_tls = false;        // the last one was asked
  std::vector<std::string> asked;
  std::unique_ptr<Connection> connection;
};

TEST_CASE("a connection that says nothing is closed in time, one that was used later than that") {
  Scene scene;
  scene.net.pass(Connection::kIdle - 1000);
  scene.stream.sends(kGet);
  CHECK(scene.has_sent("200 OK"));
  scene.net.pass(Connection::kIdle - 1000);
  CHECK(scene.is_open());
  scene.net.pass(2000);
  CHECK_FALSE(scene.is_open());
}

// A client that speaks TLS to the same.
struct TlsScene final : status::ConnectionOwner {
  TlsScene() : wire(net.accept()), client(test::client_context(), test::TlsPeer::Role::client) {
    std::string error;
    server = net::TlsServer::make(test::identity_of({test::issue({})}), error);
    auto* const tls = new net::TlsStream(room, server->accept());
    tls->attach(net::StreamPtr(&wire));
    connection = std::make_unique<Connection>(net.deadlines, *this, 1, "127.0.0.1");
    connection->attach_tls(net::StreamPtr(tls));
    tls->start(connection->as_owner());
    tls->accept({});
    client.start();
    hello = client.output();
  }
  ~TlsScene() {
    if (connection != nullptr) connection->close();
    net.graveyard.clear();
    CHECK(net.fault == "");
  }
  void on_asked(Connection&, const status::Ask& ask) override {
    by_tls = ask.tls;
    connection->answer({200, "application/json", "{}\n"});
  }
  void on_closed(Connection&) override { net.graveyard.bury(std::move(connection)); }
  bool is_open() const { return connection != nullptr; }
  void shake_hands() {
    wire.sends(hello);
    talk();
    REQUIRE(client.is_open());
  }
  void talk() {
    client.receive(std::exchange(wire.received, {}));
    wire.sends(client.output());
    client.receive(std::exchange(wire.received, {}));
  }

  test::FakeNet net;
  FakeStream& wire;
  net::TlsRoom room{net.graveyard};
  std::unique_ptr<net::TlsServer> server;
  test::TlsPeer client;
  std::string hello;
  bool by_tls = false;
  std::unique_ptr<Connection> connection;
};

TEST_CASE("a TLS handshake that does not end is cut in time, however it trickles") {
  for (const size_t at_once : {0, 1}) {
    TlsScene scene;
    size_t said = 0;
    for (net::Millis passed = 0; passed < Connection::kHandshake - 1000; passed += 1000, said += at_once) {
      scene.wire.sends(scene.hello.substr(said, at_once));
      scene.net.pass(1000);
    }
    CHECK(scene.is_open());
    scene.net.pass(2000);
    CHECK_FALSE(scene.is_open());
  }
}

TEST_CASE("after the TLS handshake a connection has its time to ask, and says by what it came") {
  TlsScene scene;
  scene.net.pass(Connection::kHandshake - 1000);
  scene.shake_hands();
  scene.net.pass(Connection::kIdle - 1000);
  REQUIRE(scene.is_open());
  scene.client.send(kGet);
  scene.talk();
  CHECK(scene.by_tls);
  CHECK(scene.client.plain.find("200 OK") != std::string::npos);
  scene.net.pass(Connection::kIdle + 1000);
  CHECK_FALSE(scene.is_open());

  Scene plain;
  plain.by_tls = true;
  plain.stream.sends(kGet);
  CHECK_FALSE(plain.by_tls);
}

TEST_CASE("who only begins to speak TLS is worth no more than who says nothing") {
  TlsScene silent, begun;
  begun.wire.sends(begun.hello.substr(0, 100));
  for (TlsScene* scene : {&silent, &begun}) scene->net.pass(Connection::kFresh + 1);
  CHECK(silent.connection->worth().use == Connection::Use::nothing);
  CHECK(begun.connection->worth().use == Connection::Use::nothing);
}

TEST_CASE("what is no TLS is closed without an answer where TLS is spoken") {
  TlsScene scene;
  scene.wire.sends(kGet);
  CHECK_FALSE(scene.is_open());
  CHECK(scene.wire.received.find("HTTP") == std::string::npos);
}

TEST_CASE("half a request is waited for, but not long, and however it trickles") {
  for (const std::string& half :
       {std::string("GET /sta"), std::string("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")}) {
    Scene scene;
    scene.stream.sends(half);
    for (net::Millis passed = 0; passed < Connection::kReceiving - 1000; passed += 1000) {
      scene.net.pass(1000);
      scene.stream.sends("x");
    }
    if (half[0] == 'G') CHECK(scene.asked.empty());
    scene.net.pass(2000);
    CHECK(scene.has_sent("HTTP/1.1 408"));
    scene.net.pass(Connection::kLinger + 1000);
    CHECK_FALSE(scene.is_open());
  }
}

TEST_CASE("a client that takes no answer is left after a while, and read no further meanwhile") {
  Scene scene;
  scene.body = std::string(100'000, 'x');
  scene.stream.room = 1000;
  scene.stream.sends(kGet);
  CHECK(scene.stream.paused());
  for (int i = 0; i < 1000; ++i) scene.stream.sends(kGet);
  CHECK(scene.asked.size() == 1);
  scene.net.pass(Connection::kSending + 1000);
  CHECK_FALSE(scene.is_open());
}

TEST_CASE("what was pipelined is answered once there is room") {
  Scene scene;
  scene.body = std::string(5000, 'x');
  scene.stream.room = 1000;
  scene.stream.sends(std::string(kGet) + kGet + kGet);
  for (int i = 0; i < 10; ++i) {
    CHECK(scene.asked.size() <= static_cast<size_t>(i + 1));
    scene.stream.drain();
    scene.stream.read_all();
  }
  CHECK(scene.asked.size() == 3);
  CHECK(scene.is_open());
}

TEST_CASE("a stream of events lasts, and one that lags is spared events, then left") {
  Scene scene;
  scene.stream.sends("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(scene.connection->is_streaming());
  CHECK_FALSE(scene.has_sent("Content-Length"));
  for (int i = 0; i < 1000; ++i) {
    scene.net.pass(1000);
    scene.connection->send_event("data: 1\n\n");
  }
  CHECK(scene.is_open());
  const size_t received = scene.stream.received.size();
  scene.stream.room = 0;
  for (int i = 0; i < 20; ++i) {
    scene.net.pass(1000);
    scene.connection->send_event("data: 2\n\n");
  }
  CHECK(scene.stream.queued() == 9);
  scene.stream.drain();
  CHECK(scene.stream.received.size() == received + 9);
  scene.net.pass(3'600'000);
  CHECK(scene.is_open());
  scene.connection->send_event("data: 3\n\n");
  scene.net.pass(Connection::kSending + 1000);
  CHECK_FALSE(scene.is_open());
}

TEST_CASE("a stream ends when its client does") {
  for (const bool by_reset : {false, true}) {
    Scene scene;
    scene.stream.sends("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    by_reset ? scene.stream.sends_abort() : scene.stream.sends_end();
    CHECK_FALSE(scene.is_open());
  }
}

TEST_CASE(
    "an open stream is worth most, who asks nothing least, and of those that ask or are answered the "
    "oldest") {
  Scene silent, lingering, half, half_a_body, fresh, stuck, streaming;
  const auto pass = [&](net::Millis time) {
    for (Scene* scene : {&silent, &lingering, &half, &half_a_body, &fresh, &stuck, &streaming})
      scene->net.pass(time);
  };
  const auto worth = [](const Scene& scene) { return scene.connection->worth(); };
  streaming.stream.sends("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
  pass(10);
  half.stream.sends("GET /sta");
  pass(10);
  stuck.body = std::string(100'000, 'x');
  stuck.stream.room = 1000;
  stuck.stream.sends(kGet);
  pass(10);
  half_a_body.stream.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
  pass(10);
  lingering.stream.sends("GET / HTTP/3.0\r\n\r\n");
  pass(Connection::kFresh);
  fresh.stream.sends(kGet);
  pass(10);
  const Scene* const rising[] = {&silent, &lingering, &half, &stuck, &half_a_body, &fresh, &streaming};
  for (size_t i = 0; i + 1 < std::size(rising); ++i) {
    REQUIRE(rising[i]->is_open());
    CHECK_MESSAGE(worth(*rising[i]) < worth(*rising[i + 1]), i);
  }
  pass(Connection::kFresh);
  CHECK(worth(fresh) < worth(half));
  CHECK(worth(silent) < worth(fresh));
}

TEST_CASE("an answer that comes late is waited for, and what comes meanwhile is not read without bounds") {
  Scene scene;
  scene.answers_late = true;
  std::string many;
  while (many.size() < 3 * Connection::kMostPipelined) many += kGet;
  scene.stream.sends(many);
  CHECK(scene.asked.size() == 1);
  CHECK(scene.stream.paused());
  scene.net.pass(3'600'000);
  CHECK(scene.is_open());
  CHECK_FALSE(scene.has_sent("200 OK"));
  scene.answer();
  CHECK(scene.has_sent("200 OK"));
  CHECK(scene.asked.size() == 2);
  scene.answers_late = false;
  scene.answer();
  scene.stream.read_all();
  CHECK(scene.asked.size() == many.size() / std::string_view(kGet).size());
  CHECK(scene.is_open());
}

TEST_CASE(
    "a client that has sent its last byte gets the answer that comes late; one that is gone is closed") {
  Scene ended, gone;
  ended.answers_late = gone.answers_late = true;
  ended.stream.sends(kGet);
  ended.stream.sends_end();
  REQUIRE(ended.is_open());
  ended.answer();
  CHECK(ended.has_sent("200 OK"));
  CHECK_FALSE(ended.is_open());
  gone.stream.sends(kGet);
  gone.stream.sends_abort();
  CHECK_FALSE(gone.is_open());
}

TEST_CASE("after a refusal what still comes is read, so that the refusal arrives") {
  Scene scene;
  scene.stream.sends("GET / HTTP/3.0\r\n\r\n");
  CHECK(scene.has_sent("HTTP/1.1 505"));
  CHECK(scene.stream.end_seen == FakeStream::End::orderly);
  scene.stream.sends(std::string(200'000, 'x'));
  CHECK(scene.stream.unread() == 0);
  CHECK(scene.asked.empty());
  scene.stream.sends_end();
  CHECK_FALSE(scene.is_open());
}

TEST_CASE("whatever comes, in whatever pieces and however it is taken, is answered or refused") {
  std::mt19937 random(20260102);
  const std::vector<std::string> parts = {
      kGet,
      "GET /events HTTP/1.1\r\nHost: a\r\n\r\n",
      "HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      "nonsense\r\n\r\n",
      "\r\n"};
  for (int round = 0; round < 3000; ++round) {
    Scene scene;
    scene.body = std::string(random() % 3000, 'x');
    std::string bytes;
    for (size_t i = random() % 6; i > 0; --i) bytes += parts[random() % parts.size()];
    scene.stream.say(bytes);
    if (random() % 2 != 0) scene.stream.end();
    for (int step = 0; step < 40 && scene.is_open(); ++step) {
      scene.stream.room = random() % 2 != 0 ? test::kAll : random() % 100;
      switch (random() % 8) {
        case 0:
          scene.net.pass(random() % 20'000);
          break;
        case 1:
          if (scene.connection->is_streaming()) scene.connection->send_event("data: x\n\n");
          break;
        case 2:
          if (random() % 10 == 0) scene.stream.abort();
          break;
        case 3:
        case 4:
          scene.stream.drain(random() % 2000 + 1);
          break;
        default:
          scene.stream.read(random() % 60 + 1);
      }
      REQUIRE(scene.net.fault == "");
    }
    if (scene.is_open()) scene.connection->close();
    scene.net.event_over();
  }
}

}  // namespace limpet::status::connection_test
