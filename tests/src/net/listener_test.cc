#include "src/net/listener.h"

#include <netinet/tcp.h>

#include "src/net/resolver.h"
#include "tests/src/net/loopback.h"
#include "tests/support/descriptors.h"

namespace limpet::net::listener_test {

using namespace limpet::test;

conf::Address address(const std::string& host, uint16_t port) {
  return {conf::Address::Kind::ip, host, port};
}

TEST_CASE("a listener tells who connected") {
  Loopback here;
  Socket socket(connect_to("127.0.0.1", here.port));
  REQUIRE(here.until([&] { return here.accepted.size() == 1; }));
  CHECK(here.peers[0].text() == "127.0.0.1");
}

TEST_CASE("a listener at every address takes IPv4 clients as such") {
  Loopback here("*");
  Socket four(connect_to("127.0.0.1", here.port));
  REQUIRE(here.until([&] { return here.accepted.size() == 1; }));
  CHECK(here.peers[0].is_v4());
  CHECK(here.peers[0].text() == "127.0.0.1");
}

TEST_CASE("a closed listener takes nobody, and lets go of its address") {
  Loopback here;
  here.close_listener();
  here.for_a_while();
  CHECK(connect_to("127.0.0.1", here.port) == -1);
  std::string error;
  Socket again(net::bind_socket(address("127.0.0.1", here.port), true, error));
  CHECK(error == "");
}

// How the socket's connection ended; 0: orderly.
int end_of(Socket& socket) {
  char byte;
  const ssize_t size = ::recv(socket.fd(), &byte, 1, 0);
  return size < 0 ? errno : 0;
}

TEST_CASE("an event takes a bounded number of those that wait, and the next one goes on") {
  Loopback here("127.0.0.1", {.at_once = 2});
  std::vector<std::unique_ptr<Socket>> sockets;
  for (int i = 0; i < 5; ++i) sockets.push_back(std::make_unique<Socket>(connect_to("127.0.0.1", here.port)));
  for (const size_t so_far : {2, 4, 5}) {
    uv_run(here.loop.uv(), UV_RUN_NOWAIT);
    CHECK(here.accepted.size() == so_far);
  }
}

TEST_CASE("whoever connects while only the last descriptors are left is refused by a reset, and counted") {
  Loopback here("127.0.0.1", {.leaves_reserves = true}, 400);
  Socket early(connect_to("127.0.0.1", here.port));
  REQUIRE(here.until([&] { return here.accepted.size() == 1; }));
  {
    DescriptorsTaken taken(here.descriptors.for_clients());
    for (int i = 0; i < 3; ++i) {
      Socket late(connect_to("127.0.0.1", here.port));
      here.until([&] { return here.descriptors.refused() == static_cast<uint64_t>(i + 1); });
      CHECK(end_of(late) == ECONNRESET);
    }
  }
  CHECK(here.descriptors.refused() == 3);
  CHECK(here.accepted.size() == 1);
  Socket again(connect_to("127.0.0.1", here.port));
  CHECK(here.until([&] { return here.accepted.size() == 2; }));
  CHECK(here.descriptors.refused() == 3);
}

TEST_CASE("what is idle is given up before anybody is refused for it, and no earlier") {
  Loopback here("127.0.0.1", {.leaves_reserves = true}, 400);
  Socket early(connect_to("127.0.0.1", here.port));
  REQUIRE(here.until([&] { return here.accepted.size() == 1; }));
  CHECK(here.shortages == 0);
  const int idle = dup(STDIN_FILENO);
  here.at_shortage = [&] { ::close(idle); };
  DescriptorsTaken taken(here.descriptors.for_clients() -
                         2);  // one is for this side, and one for the listener's
  Socket last(connect_to("127.0.0.1", here.port));
  REQUIRE(here.until([&] { return here.accepted.size() == 2; }));
  CHECK(here.shortages == 1);
  CHECK(here.accepted[1]->descriptor() == here.descriptors.for_clients() - 1);
  CHECK(next_descriptor() == idle);
  CHECK(here.descriptors.refused() == 0);
}

TEST_CASE("a listener that cannot accept pauses, and takes later who waits") {
  Loopback here;
  Owner owner;
  net::UvStream* const other = here.dial(here.port, owner);
  REQUIRE(here.until([&] { return owner.connected == 1 && here.accepted.size() == 1; }));
  Socket waiting(connect_to("127.0.0.1", here.port));
  {
    NoDescriptors none;
    const Millis began = here.loop.deadlines().now();
    for (int turn = 0; turn < 1000; ++turn) uv_run(here.loop.uv(), UV_RUN_NOWAIT);
    const Millis took = here.loop.deadlines().now() - began;
    CHECK(here.shortages >= 1);
    CHECK(static_cast<Millis>(here.shortages) <= 1 + took / net::Listener::kPause);
    CHECK(here.accepted.size() == 1);
    const iovec part{const_cast<char*>("hello"), 5};  // all else goes on
    Owner peer;
    here.accepted[0]->start(&peer);
    other->write({&part, 1});
    CHECK(here.until([&] { return peer.bytes == "hello"; }));
    here.accepted[0]->close();
  }
  CHECK(here.until([&] { return here.accepted.size() == 2; }));
  here.accepted.erase(here.accepted.begin());
  other->close();
}

TEST_CASE("those that wait where a listener is about to be closed are taken, and served") {
  Loopback here;
  std::vector<std::unique_ptr<Socket>> sockets;
  for (int i = 0; i < 100; ++i) {
    sockets.push_back(std::make_unique<Socket>(connect_to("127.0.0.1", here.port)));
    sockets.back()->send("hello");
  }
  here.turn_away();
  here.close_listener();
  REQUIRE(here.accepted.size() == 100);
  std::vector<Owner> owners(100);
  for (size_t i = 0; i < 100; ++i) here.accepted[i]->start(&owners[i]);
  CHECK(here.until([&] {
    return std::all_of(owners.begin(), owners.end(),
                       [](const Owner& owner) { return owner.bytes == "hello"; });
  }));
}

TEST_CASE("whoever connects where a listener is about to be closed comes to the next one, or is refused") {
  Loopback here;
  here.turn_away();
  CHECK(connect_to("127.0.0.1", here.port) == -1);
  std::string error;
  Socket next(net::bind_socket(address("127.0.0.1", here.port), false, error));
  REQUIRE(error == "");
  REQUIRE(::listen(next.fd(), 1) == 0);
  Socket client(connect_to("127.0.0.1", here.port));
  Socket came(next.accept());
  CHECK(came.fd() >= 0);
  CHECK(here.accepted.empty());
}

TEST_CASE("what a listener accepts sends small writes at once, and keeps little of what nobody reads") {
  Loopback here("*");
  for (const char* host : {"127.0.0.1", "::1"}) {
    Socket socket(connect_to(host, here.port));
    if (socket.fd() < 0) continue;  // a machine without IPv6
    const size_t before = here.accepted.size();
    REQUIRE(here.until([&] { return here.accepted.size() == before + 1; }));
    int found = 0;
    for (int fd = 0; fd < 1024; ++fd) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 ||
          reinterpret_cast<sockaddr_in&>(peer).sin_port != htons(port_of(socket.fd())))
        continue;
      int at_once = 0;
      size = sizeof at_once;
      REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, &size) == 0);
      CHECK(at_once != 0);
      int most_unsent = 0;
      REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most_unsent, &size) == 0);
      CHECK(most_unsent == 512 * 1024);
      ++found;
    }
    CHECK(found == 1);
  }
}

TEST_CASE("workers share an address; whoever wants it alone is told that it is taken") {
  std::string error;
  Socket first(net::bind_socket(address("127.0.0.1", 0), false, error));
  const uint16_t port = port_of(first.fd());
  REQUIRE(listen(first.fd(), 1) == 0);
  Socket second(net::bind_socket(address("127.0.0.1", port), false, error));
  CHECK(second.fd() >= 0);
  CHECK(error == "");
  CHECK(net::bind_socket(address("127.0.0.1", port), true, error) == -1);
  CHECK(error == "127.0.0.1:" + std::to_string(port) + ": Address already in use");
}

TEST_CASE("an address that is not this machine's is an error that names it") {
  std::string error;
  CHECK(net::bind_socket(address("192.0.2.1", 80), false, error) == -1);
  CHECK(error.starts_with("192.0.2.1:80: "));
}

TEST_CASE("an IP literal becomes a socket address and back; nothing else does") {
  for (const char* text : {"192.0.2.1", "2001:db8::1", "::1"}) {
    sockaddr_storage out;
    REQUIRE(net::to_sockaddr(text, 8080, out));
    CHECK(net::from_sockaddr(out).text() == text);
    CHECK(ntohs(reinterpret_cast<sockaddr_in&>(out).sin_port) == 8080);
  }
  for (const char* text : {"", "localhost", "192.0.2", "[::1]", "1.2.3.4:80"}) {
    sockaddr_storage out;
    CHECK_FALSE(net::to_sockaddr(text, 80, out));
  }
  CHECK(net::from_sockaddr({}) == conf::IpAddress{});
}

TEST_CASE("a host name is found with its addresses one after the other; one that is not known is not") {
  const std::string unknown(64, 'x');  // longer than a label can be: no name server is asked
  net::Resolver resolver;
  uv_loop_t loop;
  REQUIRE(uv_loop_init(&loop) == 0);
  resolver.start(&loop, {"localhost", unknown});
  sockaddr_storage out;
  REQUIRE(resolver.find("localhost", 0, 8080, out));
  CHECK(ntohs(reinterpret_cast<sockaddr_in&>(out).sin_port) == 8080);
  const std::string first = net::from_sockaddr(out).text();
  CHECK((first == "127.0.0.1" || first == "::1"));
  unsigned count = 0;
  while (count < 100 && resolver.find("localhost", count, 1, out)) ++count;
  CHECK(count < 100);
  CHECK_FALSE(resolver.find(unknown, 0, 1, out));
  CHECK_FALSE(resolver.find("never asked for", 0, 1, out));
  resolver.close();
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
}

}  // namespace limpet::net::listener_test
