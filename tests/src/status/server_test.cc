#include "src/status/server.h"

#include <doctest/doctest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "src/status/client.h"
#include "src/status/connection.h"
#include "tests/src/net/loopback.h"
#include "tests/src/status/fake_control.h"
#include "tests/support/descriptors.h"
#include "tests/support/tls_identity.h"

namespace limpet::status::server_test {

using nlohmann::json;

constexpr char kEvents[] = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr char kGet[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::string with_close(std::string_view line, std::string_view fields = "") {
  return std::string(line) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + std::string(fields) +
         "\r\n";
}

struct Scene {
  explicit Scene(const std::string& token = "", uint64_t file_limit = 1024,
                 const net::SharedTlsIdentity& identity = nullptr)
      : descriptors(test::limit_of(file_limit)) {
    signal(SIGPIPE, SIG_IGN);
    conf::Status settings;
    settings.address->port = 0;
    auto started = status::Server::start(settings, token, control, descriptors, identity);
    REQUIRE(std::holds_alternative<std::unique_ptr<status::Server>>(started));
    server = std::move(std::get<0>(started));
  }
  std::unique_ptr<test::Socket> connect() const {
    return std::make_unique<test::Socket>(test::connect_to("127.0.0.1", server->port()));
  }
  // All that comes until the connection ends.
  std::string say(std::string_view bytes) const {
    const auto socket = connect();
    socket->send(bytes);
    return read_to_end(*socket);
  }
  static std::string read_to_end(test::Socket& socket) {
    std::string all;
    for (char buffer[65536];;) {
      const ssize_t got = socket.receive(buffer, sizeof buffer);
      if (got <= 0) return all;
      all.append(buffer, static_cast<size_t>(got));
    }
  }
  static std::string read_until(test::Socket& socket, std::string_view mark) {
    std::string all;
    char c;
    while (!all.ends_with(mark) && socket.receive(&c, 1) == 1) all.push_back(c);
    return all;
  }
  conf::Address address() const { return {conf::Address::Kind::ip, "127.0.0.1", server->port()}; }

  // That health, reports and orders get in, on new connections.
  void check_all_get_in() const {
    CHECK(say(with_close("GET /healthz")).starts_with("HTTP/1.1 200"));
    CHECK(say(with_close("GET /status")).starts_with("HTTP/1.1 200"));
    const size_t orders = control.asked().size();
    CHECK(say(with_close("POST /pools/shop/backends/app-1/drain", "X-Limpet: alice\r\n"))
              .starts_with("HTTP/1.1 200"));
    CHECK(control.asked().size() == orders + 1);
  }
  bool someone_waits_for_the_main_thread() const {
    for (int i = 0; i < 10'000 && control.waiting() == 0; ++i) poll(nullptr, 0, 1);
    return control.waiting() != 0;
  }
  std::vector<std::unique_ptr<test::Socket>> connect_many(size_t count, std::string_view say_first) const {
    std::vector<std::unique_ptr<test::Socket>> sockets;
    for (size_t i = 0; i < count; ++i) {
      sockets.push_back(connect());
      if (!say_first.empty()) sockets.back()->send(say_first);
    }
    return sockets;
  }

  test::FakeControl control;
  net::Descriptors descriptors;
  std::unique_ptr<status::Server> server;
};

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST_CASE("an answer says its length, that it is not to be stored, and what it is") {
  Scene scene;
  const std::string answer = scene.say(with_close("GET /status"));
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  for (const char* field : {"Content-Type: application/json\r\n", "Cache-Control: no-store\r\n",
                            "X-Content-Type-Options: nosniff\r\n", "Connection: close\r\n"})
    CHECK_MESSAGE(answer.find(field) != std::string::npos, std::string(field));
  const std::string body = answer.substr(answer.find("\r\n\r\n") + 4);
  CHECK(answer.find("Content-Length: " + std::to_string(body.size()) + "\r\n") != std::string::npos);
  CHECK(json::parse(body)["pools"].size() == 2);
}

TEST_CASE("a connection is used for one request after another, pipelined ones in order") {
  Scene scene;
  const std::string answers = scene.say(
      std::string(kGet) + "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" + with_close("GET /readyz"));
  const size_t first = answers.find("{\"alive\":true}"), second = answers.find("no such path"),
               third = answers.find("{\"ready\":true}");
  CHECK(first < second);
  CHECK(second < third);
  CHECK(third != std::string::npos);
}

TEST_CASE("HEAD is answered by the head alone") {
  Scene scene;
  const std::string answer = scene.say(with_close("HEAD /status"));
  CHECK(answer.ends_with("\r\n\r\n"));
  CHECK(answer.find("Content-Length: 0") == std::string::npos);
  CHECK(scene.say(with_close("HEAD /events")).ends_with("\r\n\r\n"));
}

TEST_CASE("a request in pieces is answered once it is whole") {
  Scene scene;
  const auto socket = scene.connect();
  for (const char c : std::string_view(kGet)) socket->send({&c, 1});
  CHECK(Scene::read_until(*socket, "true}\n").starts_with("HTTP/1.1 200"));
}

TEST_CASE("a body is read and left alone; one that is too large is refused") {
  Scene scene;
  const std::string order = "POST /reload";
  CHECK(scene.say(with_close(order, "X-Limpet: alice\r\nContent-Length: 5\r\n") + "hello")
            .starts_with("HTTP/1.1 200"));
  CHECK(scene
            .say(with_close(order, "X-Limpet: alice\r\nTransfer-Encoding: chunked\r\n") +
                 "5\r\nhello\r\n0\r\n\r\n")
            .starts_with("HTTP/1.1 200"));
  CHECK(scene.control.asked().size() == 2);
  const std::string large(status::Connection::kMostBody + 1, 'x');
  CHECK(
      scene
          .say(with_close(order, "X-Limpet: a\r\nContent-Length: " + std::to_string(large.size()) + "\r\n") +
               large)
          .starts_with("HTTP/1.1 413"));
  CHECK(scene.control.asked().size() == 2);
}

TEST_CASE("who waits for it is told to go on with the body") {
  Scene scene;
  const auto socket = scene.connect();
  socket->send(with_close("POST /reload", "X-Limpet: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"));
  CHECK(Scene::read_until(*socket, "\r\n\r\n").starts_with("HTTP/1.1 100"));
  socket->send("ok");
  CHECK(Scene::read_to_end(*socket).starts_with("HTTP/1.1 200"));
}

TEST_CASE("what is no request is refused and the connection closed") {
  Scene scene;
  const std::string long_target = "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string large_head = "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(17000, 'a') + "\r\n\r\n";
  std::string many_fields = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 200; ++i) many_fields += "X: 1\r\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nonsense\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
      {long_target, "414"},
      {large_head, "431"},
      {many_fields + "\r\n", "431"},
      {"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400"}};
  for (const auto& each : cases) {
    const std::string answer = scene.say(each.first);
    CHECK_MESSAGE(answer.starts_with("HTTP/1.1 " + each.second), each.first.substr(0, 40));
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
  }
  CHECK(scene.say(with_close("GET /healthz")).starts_with("HTTP/1.1 200"));
}

TEST_CASE("an old client that keeps no connection is answered too") {
  Scene scene;
  CHECK(scene.say("GET /healthz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
}

TEST_CASE("a public Host gets nothing, and a change needs the token") {
  Scene scene("secret");
  CHECK(scene.say("GET /status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 403"));
  const std::string drain = "POST /pools/shop/backends/app-1/drain";
  CHECK(scene.say(with_close(drain)).starts_with("HTTP/1.1 401"));
  CHECK(scene.say(with_close(drain, "Authorization: Bearer wrong\r\n")).starts_with("HTTP/1.1 401"));
  CHECK(scene.control.asked().empty());
  CHECK(scene.say(with_close(drain, "Authorization: Bearer secret\r\nX-Limpet: bob\r\n"))
            .starts_with("HTTP/1.1 200"));
  CHECK(scene.control.asked() == std::vector<std::string>{"drain|shop|app-1|bob from 127.0.0.1"});
}

TEST_CASE("events come at once and then every second, and show what changed") {
  Scene scene;
  const auto socket = scene.connect();
  socket->send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(Scene::read_until(*socket, "\r\n\r\n").find("Content-Type: text/event-stream\r\n") !=
        std::string::npos);
  CHECK(Scene::read_until(*socket, "\n\n") == "retry: 1000\n\n");
  const std::string first = Scene::read_until(*socket, "\n\n");
  CHECK(json::parse(first.substr(6))["connections"] != 4242);
  status::Report changed = test::made_up_report();
  changed.connections = 4242;
  scene.control.set(changed);
  const std::string second = Scene::read_until(*socket, "\n\n");
  CHECK(json::parse(second.substr(6))["connections"] == 4242);
}

TEST_CASE("there are so many streams of events and no more") {
  Scene scene;
  std::vector<std::unique_ptr<test::Socket>> streams;
  for (size_t i = 0; i < scene.descriptors.for_status() / status::Server::kStreamsOneIn; ++i) {
    streams.push_back(scene.connect());
    streams.back()->send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(Scene::read_until(*streams.back(), "\n\n").find("200 OK") != std::string::npos);
  }
  CHECK(scene.say(kEvents).starts_with("HTTP/1.1 503"));  // which ends the connection
  CHECK(scene.say(with_close("GET /status")).starts_with("HTTP/1.1 200"));
  streams.pop_back();
  bool free_again = false;
  for (int i = 0; i < 500 && !free_again; ++i) {
    const auto socket = scene.connect();
    socket->send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    free_again = Scene::read_until(*socket, "\r\n").starts_with("HTTP/1.1 200");
    if (!free_again) poll(nullptr, 0, 5);
  }
  CHECK(free_again);
}

TEST_CASE("connections that ask nothing keep nobody out, whatever the limit of descriptors is") {
  for (const uint64_t limit : {64, 1024}) {
    Scene scene("", limit);
    const auto idle = scene.connect_many(140, "");
    scene.check_all_get_in();
  }
}

TEST_CASE("connections that have asked and stay keep nobody out") {
  Scene scene;
  std::vector<std::unique_ptr<test::Socket>> idle;
  for (int i = 0; i < 140; ++i) {
    idle.push_back(scene.connect());
    idle.back()->send(kGet);
    CHECK(Scene::read_until(*idle.back(), "true}\n").starts_with("HTTP/1.1 200"));
  }
  scene.check_all_get_in();
}

TEST_CASE("requests that do not come whole keep nobody out") {
  Scene scene;
  const auto heads = scene.connect_many(140, "GET /healthz HTT");
  scene.check_all_get_in();
  const auto bodies = scene.connect_many(
      140, "POST /reload HTTP/1.1\r\nHost: localhost\r\nX-Limpet: a\r\nContent-Length: 9\r\n\r\nhalf");
  scene.check_all_get_in();
}

TEST_CASE("clients that do not read their answers keep nobody out") {
  Scene scene("", 64);
  status::Report large = test::made_up_report();
  for (int i = 0; i < 1000; ++i) large.incidents.push_back(large.incidents[0]);
  scene.control.set(large);
  std::string many;
  for (int i = 0; i < 40; ++i) many += "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const auto stuck = scene.connect_many(3 * scene.descriptors.for_status(), many);
  scene.check_all_get_in();
}

TEST_CASE("while the balancer's main thread is busy, health is answered all the same") {
  Scene scene;
  scene.control.hold(true);
  const auto waiting =
      scene.connect_many(5, "GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK(scene.someone_waits_for_the_main_thread());
  CHECK(scene.say(with_close("GET /healthz")).starts_with("HTTP/1.1 200"));
  scene.control.hold(false);
  for (const auto& socket : waiting) CHECK(Scene::read_to_end(*socket).starts_with("HTTP/1.1 200"));
}

TEST_CASE("what was asked by a client that has left before it began is not done") {
  Scene scene;
  scene.control.hold(true);
  const auto first = scene.connect_many(1, "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(scene.someone_waits_for_the_main_thread());
  {
    const auto gone = scene.connect();
    gone->send(with_close("POST /reload", "X-Limpet: alice\r\n"));
    CHECK(scene.say(with_close("GET /healthz")).starts_with("HTTP/1.1 200"));
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(gone->fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  CHECK(scene.say(with_close("GET /healthz")).starts_with("HTTP/1.1 200"));
  scene.control.hold(false);
  scene.check_all_get_in();
  CHECK(scene.control.asked().size() == 1);  // that order
}

TEST_CASE("streams of events keep nobody out, and go on") {
  Scene scene;
  std::vector<std::unique_ptr<test::Socket>> streams;
  for (int i = 0; i < 100; ++i) {
    auto socket = scene.connect();
    socket->send(kEvents);
    const std::string head = Scene::read_until(*socket, "\r\n\r\n");
    if (head.starts_with("HTTP/1.1 200")) streams.push_back(std::move(socket));
  }
  CHECK(streams.size() == scene.descriptors.for_status() / status::Server::kStreamsOneIn);
  const auto idle = scene.connect_many(140, "");
  scene.check_all_get_in();
  for (const auto& stream : streams) {
    for (int events = 0; events < 3; ++events) CHECK(Scene::read_until(*stream, "\n\n").ends_with("\n\n"));
  }
}

TEST_CASE("who asks again and again is not closed to make room, but who asks nothing is") {
  Scene scene;
  const auto asks = scene.connect(), silent = scene.connect();
  const auto is_answered = [](test::Socket& socket) {
    socket.send(kGet);
    return Scene::read_until(socket, "true}\n").starts_with("HTTP/1.1 200");
  };
  std::vector<std::unique_ptr<test::Socket>> others;
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 10; ++i) others.push_back(scene.connect());
    REQUIRE(is_answered(*others.back()));  // so all of them have been accepted
    REQUIRE(is_answered(*asks));
  }
  CHECK(Scene::read_to_end(*silent) == "");
}

TEST_CASE("where no descriptor is left, who asks nothing makes room for who asks") {
  Scene scene;
  const auto idle = scene.connect_many(5, kGet);
  for (const auto& socket : idle) Scene::read_until(*socket, "true}\n");
  test::Socket late(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const test::NoDescriptors none;
  const sockaddr_in where = {.sin_family = AF_INET,
                             .sin_port = htons(scene.server->port()),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                             .sin_zero = {}};
  REQUIRE(::connect(late.fd(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
  late.send(kGet);
  CHECK(Scene::read_until(late, "true}\n").starts_with("HTTP/1.1 200"));
}

TEST_CASE("clients that leave at any moment leave nothing behind") {
  Scene scene;
  const std::string request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (size_t size = 0; size <= request.size(); ++size) {
    const auto socket = scene.connect();
    if (size > 0) socket->send(request.substr(0, size));
    if (size % 2 == 0) {
      const linger reset{.l_onoff = 1, .l_linger = 0};
      setsockopt(socket->fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
  }
  CHECK(scene.say(with_close("GET /healthz")).starts_with("HTTP/1.1 200"));
}

TEST_CASE("a client that takes nothing is left, and others are served meanwhile") {
  Scene scene;
  status::Report large = test::made_up_report();
  for (int i = 0; i < 1000; ++i) large.incidents.push_back(large.incidents[0]);
  scene.control.set(large);
  const auto stuck = scene.connect();
  std::string many;  // more than fits into sockets, of what costs the server nothing to make
  for (int i = 0; i < 500; ++i) many += "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  stuck->send(many);
  CHECK(scene.say(with_close("GET /healthz")).starts_with("HTTP/1.1 200"));
  CHECK(scene.say(with_close("GET /status")).size() > 500'000);
}

TEST_CASE("its end ends all connections, streams too, without a wait") {
  Scene scene;
  const auto idle = scene.connect(), half = scene.connect(), stream = scene.connect();
  half->send("GET /sta");
  stream->send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  Scene::read_until(*stream, "\n\n");
  const auto begun = std::chrono::steady_clock::now();
  scene.server.reset();
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  Scene::read_to_end(*idle);
  Scene::read_to_end(*half);
  CHECK(count(Scene::read_to_end(*stream), "data: ") >= 1);
}

TEST_CASE("a port that is taken is said, with the address") {
  Scene scene;
  conf::Status settings;
  settings.address->port = scene.server->port();
  const auto started = status::Server::start(settings, "", scene.control, scene.descriptors);
  REQUIRE(std::holds_alternative<std::string>(started));
  CHECK(std::get<std::string>(started).find(std::to_string(scene.server->port())) != std::string::npos);
}

TEST_CASE("the client brings back what the server answers") {
  Scene scene("secret");
  const status::Client client(scene.address(), "secret", "bob");
  const auto status = client.send("GET", "/status");
  REQUIRE(std::holds_alternative<status::Client::Reply>(status));
  CHECK(std::get<status::Client::Reply>(status).status == 200);
  CHECK(json::parse(std::get<status::Client::Reply>(status).body)["pools"].size() == 2);
  const auto order = client.send("POST", "/pools/shop/backends/app-1/drain");
  CHECK(std::get<status::Client::Reply>(order).status == 200);
  CHECK(scene.control.asked() == std::vector<std::string>{"drain|shop|app-1|bob from 127.0.0.1"});
}

TEST_CASE("the client says when nothing listens, and when what answers is not Limpet") {
  uint16_t port;
  {
    Scene scene;
    port = scene.server->port();
  }
  const conf::Address address{conf::Address::Kind::ip, "127.0.0.1", port};
  const auto nobody = status::Client(address, "", "").send("GET", "/status");
  REQUIRE(std::holds_alternative<std::string>(nobody));
  CHECK(std::get<std::string>(nobody).starts_with("nothing listens at 127.0.0.1:" + std::to_string(port)));

  for (const char* answer : {"SSH-2.0-Open\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", ""}) {
    conf::Listener listener;
    std::string error;
    test::Socket listening(net::bind_socket({conf::Address::Kind::ip, "127.0.0.1", 0}, true, error));
    REQUIRE(::listen(listening.fd(), 1) == 0);
    auto asked = std::async(std::launch::async, [where = conf::Address{conf::Address::Kind::ip, "127.0.0.1",
                                                                       test::port_of(listening.fd())}] {
      return status::Client(where, "", "").send("GET", "/status");
    });
    {
      test::Socket peer(listening.accept());
      std::string request(4096, '\0');
      REQUIRE(peer.receive(request.data(), request.size()) > 0);
      peer.send(answer);
    }
    const auto got = asked.get();
    CHECK_MESSAGE(std::holds_alternative<std::string>(got), std::string(answer));
  }
}

TEST_CASE("where to find it is read as people write it") {
  const auto text = [](std::string_view where) {
    const auto found = status::parse_where(where);
    return found ? (found->tls ? "tls " : "") + found->address.text() : "nothing";
  };
  CHECK(text("127.0.0.1:9180") == "127.0.0.1:9180");
  CHECK(text("http://127.0.0.1:9180/") == "127.0.0.1:9180");
  CHECK(text("[::1]:80") == "[::1]:80");
  CHECK(text("https://a:80") == "tls a:80");
  CHECK(text("lb1.example.com:9180") == "lb1.example.com:9180");
  CHECK(status::parse_where("a:80", true)->tls);
  CHECK_FALSE(status::parse_where("http://a:80", true)->tls);
  for (const char* wrong : {"", "localhost", ":80", "a:", "a:0", "a:65536", "a:80x", "::1:80", "a b:80",
                            "https://a", "https://https://a:80", "ftp://a:80", "a:80/status", "[::1]"})
    CHECK_MESSAGE(text(wrong) == "nothing", std::string(wrong));
}

// A server that shows a certificate of 127.0.0.1.
struct TlsScene : Scene {
  explicit TlsScene(const test::Issued& issued = test::issue({.names = "IP:127.0.0.1"}))
      : Scene("secret", 1024, test::identity_of({issued})), shown(issued) {}

  // The answer's status, or what went wrong; of who trusts that certificate.
  static std::string ask(const Scene& scene, const test::Issued& trusted,
                         const std::string& path = "/readyz") {
    auto trust = std::make_shared<net::TlsTrust>();
    trust->authorities = test::believing({trusted});
    const auto got = status::Client(scene.address(), "secret", "bob", std::move(trust)).send("GET", path);
    if (const auto* wrong = std::get_if<std::string>(&got)) return *wrong;
    return std::to_string(std::get<status::Client::Reply>(got).status);
  }
  std::string ask(const test::Issued& trusted) const { return ask(*this, trusted); }

  const test::Issued shown;
};

TEST_CASE("by TLS everything is answered as without it") {
  TlsScene scene;
  status::Report large = test::made_up_report();
  for (int i = 0; i < 1000; ++i) large.incidents.push_back(large.incidents[0]);
  scene.control.set(large);
  auto trust = std::make_shared<net::TlsTrust>();
  trust->authorities = test::believing({scene.shown});
  const status::Client client(scene.address(), "secret", "bob", trust);
  const auto report = client.send("GET", "/status");
  REQUIRE(std::holds_alternative<status::Client::Reply>(report));
  CHECK(json::parse(std::get<status::Client::Reply>(report).body)["incidents"].size() > 1000);
  const auto order = client.send("POST", "/pools/shop/backends/app-1/drain");
  REQUIRE(std::holds_alternative<status::Client::Reply>(order));
  CHECK(scene.control.asked() == std::vector<std::string>{"drain|shop|app-1|bob from 127.0.0.1"});
  const auto wrong = status::Client(scene.address(), "another", "bob", trust).send("POST", "/reload");
  CHECK(std::get<status::Client::Reply>(wrong).status == 401);
}

TEST_CASE("who speaks no TLS where it is spoken gets nothing, and harms nobody") {
  TlsScene scene;
  CHECK(scene.say(with_close("GET /healthz")) == "");
  scene.say("nonsense\r\n\r\n");
  CHECK(scene.ask(scene.shown) == "200");
}

TEST_CASE("connections that do not end their TLS handshake keep nobody out") {
  TlsScene scene;
  const auto silent = scene.connect_many(140, "");
  CHECK(scene.ask(scene.shown) == "200");
  const auto half = scene.connect_many(140, std::string("\x16\x03\x01\x02\x00\x01", 6));
  CHECK(scene.ask(scene.shown) == "200");
}

TEST_CASE("another certificate is shown to new connections, and none where there is none any more") {
  TlsScene scene;
  const test::Issued next = test::issue({.names = "IP:127.0.0.1"});
  const auto eventually = [&](auto holds) {
    for (int i = 0; i < 10'000 && !holds(); ++i) poll(nullptr, 0, 1);
    return holds();
  };
  scene.server->use(test::identity_of({next}));
  CHECK(eventually([&] { return scene.ask(next) == "200"; }));
  CHECK(scene.ask(scene.shown).find("its certificate is not trusted: ") != std::string::npos);
  scene.server->use(nullptr);
  CHECK(eventually([&] { return scene.say(with_close("GET /healthz")).starts_with("HTTP/1.1 200"); }));
  scene.server->use(test::identity_of({scene.shown}));
  CHECK(eventually([&] { return scene.ask(scene.shown) == "200"; }));
}

TEST_CASE("a stream of events goes on when TLS comes, and when it goes") {
  Scene scene;
  const auto stream = scene.connect();
  stream->send(kEvents);
  Scene::read_until(*stream, "\n\n");
  const test::Issued issued = test::issue({.names = "IP:127.0.0.1"});
  scene.server->use(test::identity_of({issued}));
  for (int i = 0; i < 10'000 && TlsScene::ask(scene, issued) != "200"; ++i) poll(nullptr, 0, 1);
  for (int events = 0; events < 2; ++events) CHECK(Scene::read_until(*stream, "\n\n").ends_with("\n\n"));
}

TEST_CASE("the client believes a certificate that it trusts itself, by any name, and others by their own") {
  const test::Issued root = test::issue({.common_name = "root", .is_authority = true});
  const test::Issued of_other = test::issue({.names = "DNS:other.example", .issuer = &root});
  const test::Issued stranger = test::issue({.names = "IP:127.0.0.1"});
  const test::Issued expired = test::issue({.names = "IP:127.0.0.1", .begins = -7200, .ends = -3600});
  {
    TlsScene scene(of_other);
    CHECK(scene.ask(of_other) == "200");
    CHECK(scene.ask(root).ends_with(": its certificate is not trusted: IP address mismatch"));
    CHECK(scene.ask(stranger).find(
              ": its certificate is not trusted: unable to get local issuer certificate (--ca FILE") !=
          std::string::npos);
  }
  {
    TlsScene scene(test::issue({.names = "IP:127.0.0.1", .issuer = &root}));
    CHECK(scene.ask(root) == "200");
  }
  {
    TlsScene scene(stranger);
    CHECK(scene.ask(root).find(": its certificate is not trusted: self-signed certificate (--ca FILE") !=
          std::string::npos);
  }
  {
    TlsScene scene(expired);
    CHECK(scene.ask(expired).ends_with(": its certificate is not trusted: certificate has expired"));
  }
  Scene plain;
  CHECK(TlsScene::ask(plain, root).ends_with(": no TLS is spoken there: http:// asks without"));
  CHECK(plain.control.asked().empty());
}

}  // namespace limpet::status::server_test
