#include "src/net/listener.h"

#include "src/net/resolver.h"
#include "tests/src/net/loopback.h"

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
