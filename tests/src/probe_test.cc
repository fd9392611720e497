// Health checks against servers on the loopback interface.
#include <sys/un.h>

#include <filesystem>

#include "tests/src/probe_fixture.h"
#include "tests/support/descriptors.h"

namespace limpet::probe_test {

using namespace limpet::test;
using namespace std::chrono_literals;

// Listens, but lets nobody in.
struct Bound {
  explicit Bound(const sockaddr* address, socklen_t size)
      : socket(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    REQUIRE(bind(socket.fd(), address, size) == 0);
  }
  Socket socket;
};

struct UnixPath {
  UnixPath()
      : path(std::filesystem::temp_directory_path() /
             ("limpet-probe-" + std::to_string(getpid()) + ".sock")) {
    std::filesystem::remove(path);
  }
  ~UnixPath() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

TEST_CASE("a check of kind tcp passes where a connection can be made, and says nothing there") {
  for (const auto kind : {conf::HealthCheck::Kind::tcp, conf::HealthCheck::Kind::none}) {
    Checked here;
    here.check.kind = kind;
    CHECK(here.run() == "pass");
    REQUIRE(here.until([&] { return !here.peers.empty() && here.peers[0]->gone(); }));
    CHECK(here.peers[0]->ended);
    CHECK(here.peers[0]->request == "");
    CHECK(here.probe_has_no_socket());
  }
}

TEST_CASE("a check for which there is no descriptor is not asked, and says nothing against the backend") {
  Checked here;
  here.check.kind = conf::HealthCheck::Kind::tcp;
  UnixPath path;
  for (const conf::Address& address :
       {here.address, conf::Address{conf::Address::Kind::unix_socket, path.path.string(), 0}}) {
    here.address = address;
    NoDescriptors none;
    CHECK(here.run() == "unasked: too many open files");
  }
}

TEST_CASE("a check asks what was configured, and only once") {
  Checked here;
  here.manner.answer = kReady;
  here.check.method = "OPTIONS";
  here.check.path = "/health?deep=1";
  CHECK(here.run() == "pass");
  CHECK(here.peers[0]->request ==
        "OPTIONS /health?deep=1 HTTP/1.1\r\nHost: " + here.address.text() +
            "\r\nUser-Agent: limpet-check\r\nAccept: */*\r\nConnection: close\r\n\r\n");
  here.check.host = "app.example";
  CHECK(here.run() == "pass");
  CHECK(here.peers[1]->request.find("\r\nHost: app.example\r\n") != std::string::npos);
  here.check.method = "POST";
  CHECK(here.run() == "pass");
  CHECK(here.peers[2]->request.ends_with("\r\nContent-Length: 0\r\n\r\n"));
  here.for_a_while();
  CHECK(here.results.size() == 3);
  CHECK(here.peers.size() == 3);
}

TEST_CASE("a check says how its answer was judged, with its token and its time") {
  Checked here;
  here.manner.answer = "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n";
  const auto before = std::chrono::steady_clock::now();
  CHECK(here.run() == "fail: answered 503");
  const auto took = std::chrono::steady_clock::now() - before;
  CHECK(here.tokens == std::vector<uint64_t>{7});
  CHECK(here.microseconds > 0);
  CHECK(std::chrono::microseconds(here.microseconds) <= took);
  here.check.drain_status = {{503, 503}};
  CHECK(here.run() == "drain: answered 503");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("a check says which instance answered it, if any did") {
  Checked here;
  here.check.instance_header = "X-Instance";
  here.manner.answer = "HTTP/1.1 200 OK\r\nX-Instance: 1\r\nContent-Length: 0\r\n\r\n";
  CHECK(here.run() == "pass");
  const auto one = here.instance;
  REQUIRE(one);
  here.manner.answer = "HTTP/1.1 503 x\r\nX-Instance: 1\r\nContent-Length: 0\r\n\r\n";
  CHECK(here.run() == "fail: answered 503");
  CHECK(here.instance == one);
  here.manner.answer = kReady;
  CHECK(here.run() == "pass");
  CHECK_FALSE(here.instance);

  here.manner.answer = "HTTP/1.1 200 OK\r\nX-Instance: 1\r\nContent-Length: 9\r\n\r\nread";
  here.manner.then = Manner::Then::stay;
  here.check.body = "ready";
  here.check.timeout = 300ms;
  CHECK(here.run() == "timeout: the answer did not end within 300ms");
  CHECK(here.instance == one);
  here.manner.answer = "HTTP/1.1 200 OK\r\n";
  CHECK(here.run() == "timeout: no answer within 300ms");
  CHECK_FALSE(here.instance);
}

TEST_CASE("a check goes to a port of its own") {
  Checked here;
  here.manner.answer = kReady;
  here.check.port = here.port;
  here.address.port = 1;
  CHECK(here.run() == "pass");
  CHECK(here.peers[0]->request.find("\r\nHost: 127.0.0.1:" + std::to_string(here.port) + "\r\n") !=
        std::string::npos);
}

TEST_CASE("a check goes through a unix socket, whatever its port") {
  const UnixPath unix_path;
  Checked here;
  here.address = {conf::Address::Kind::unix_socket, unix_path.path.string(), 0};
  here.check.port = 80;
  CHECK(here.run() == "fail: no such file or directory");

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  unix_path.path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  const Bound bound(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  CHECK(here.run() == "fail: connection refused");
  REQUIRE(listen(bound.socket.fd(), 1) == 0);
  here.preface = "PROXY UNKNOWN\r\n";  // as to the backend, which it is
  here.start();
  here.for_a_while();
  Socket peer(bound.socket.accept());
  std::string request;
  bool ended = false;
  int error = 0;
  REQUIRE(here.until([&] { return (request += peer.take(ended, error)).ends_with("\r\n\r\n"); }));
  CHECK(request.starts_with("PROXY UNKNOWN\r\nGET / "));
  CHECK(request.find("\r\nHost: localhost\r\n") != std::string::npos);
  peer.send(kReady);
  REQUIRE(here.until([&] { return here.results.size() == 3; }));
  CHECK(here.results.back() == "pass");
}

TEST_CASE(
    "where a unix socket's queue is full a check has come to nothing, as where a connection takes long") {
  const UnixPath unix_path;
  Checked here;
  here.address = {conf::Address::Kind::unix_socket, unix_path.path.string(), 0};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  unix_path.path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  const Socket listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  REQUIRE(::bind(listener.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener.fd(), 0) == 0);
  const Socket waits(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
  REQUIRE(::connect(waits.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  CHECK(here.run() == "timeout: it accepts no more connections");
}

TEST_CASE("a check looks a host's name up") {
  Checked here;
  here.manner.answer = kReady;
  here.address.kind = conf::Address::Kind::host;
  here.address.host = "localhost";
  CHECK(here.run() == "pass");
  here.address.host = "app.internal";
  CHECK(here.run() == "unasked: the name app.internal has no address");
  CHECK(here.run() == "unasked: the name app.internal has no address");
}

TEST_CASE("a check says that its connection was refused") {
  Checked here;
  sockaddr_storage address;
  REQUIRE(net::to_sockaddr("127.0.0.1", 0, address));
  const Bound bound(reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in));
  here.address.port = port_of(bound.socket.fd());
  CHECK(here.run() == "fail: connection refused");
  here.address.kind = conf::Address::Kind::host;
  here.address.host = "localhost";
  CHECK(here.run() == "fail: connection refused");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("a check's time covers all of it, and a failure says how far it came") {
  Checked here;
  here.check.timeout = 300ms;
  here.manner.then = Manner::Then::stay;
  CHECK(here.run() == "timeout: no answer within 300ms");
  CHECK(here.microseconds >= 250'000);
  CHECK(here.probe_has_no_socket());
  here.manner.answer = "HTTP/1.1 200 OK\r\nContent-Len";
  CHECK(here.run() == "timeout: no answer within 300ms");
  here.manner.answer = kReady.substr(0, kReady.size() - 1);
  here.check.body = "ready";
  CHECK(here.run() == "timeout: the answer did not end within 300ms");
  here.check.tls = true;
  here.manner.answer = "";
  CHECK(here.run() == "timeout: no TLS handshake within 300ms");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("what came in time counts, though the loop was busy until the check's time was over") {
  Checked here;
  here.check.kind = conf::HealthCheck::Kind::tcp;
  here.check.timeout = 50ms;
  here.start();
  poll(nullptr, 0, 100);
  REQUIRE(here.until([&] { return !here.results.empty(); }));
  CHECK(here.results.back() == "pass");
}

TEST_CASE("a check says that no connection came about in time") {
  Checked here;
  sockaddr_storage address;
  REQUIRE(net::to_sockaddr("127.0.0.1", 0, address));
  const Bound bound(reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in));
  REQUIRE(listen(bound.socket.fd(), 0) == 0);
  here.address.port = port_of(bound.socket.fd());
  here.check.timeout = 50ms;
  std::deque<Socket> others;  // who wait to be let in, until there is no room for more
  for (int i = 0; i < 8; ++i) {
    others.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    REQUIRE(net::to_sockaddr("127.0.0.1", here.address.port, address));
    (void)connect(others.back().fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in));
  }
  CHECK(here.run() == "timeout: no connection within 50ms");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("a server that trickles does not make a check longer") {
  Checked here;
  here.check.timeout = 80ms;
  here.manner.pieces = 1;
  here.manner.answer = "HTTP/1.1 200 OK\r\nX: " + std::string(50'000, 'x') + "\r\n\r\n";
  CHECK(here.run() == "timeout: no answer within 80ms");
}

TEST_CASE("a server that hangs up fails a check") {
  Checked here;
  CHECK(here.run() == "fail: the connection ended before an answer");
  here.manner.then = Manner::Then::reset;
  CHECK(here.run() == "fail: connection reset by peer");
  here.check.tls = true;
  here.manner.at_once = true;
  CHECK(here.run() == "fail: TLS handshake failed: connection reset by peer");
  here.manner.then = Manner::Then::end;
  CHECK(here.run() == "fail: TLS handshake failed: the connection ended");
  CHECK(here.probe_has_no_socket());
}

}  // namespace limpet::probe_test
