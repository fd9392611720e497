#include "src/net/passed_sockets.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "src/net/socket_address.h"

namespace limpet::net::passed_sockets_test {

// Bound to a port that the system picks.
struct Bound {
  Bound(const std::string& host, bool only_v6 = true) {
    sockaddr_storage address{};
    REQUIRE(to_sockaddr(host, 0, address));
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int only = only_v6 ? 1 : 0;
    if (address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in6)) == 0);
    socklen_t size = sizeof address;
    REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port = port_in(address);
  }
  ~Bound() { close(fd); }
  bool is_at(const std::string& host) const { return is_bound_to(fd, {conf::Address::Kind::ip, host, port}); }
  int fd;
  uint16_t port;
};

TEST_CASE("a socket is taken by the address that it is bound to, and no other") {
  const Bound four("127.0.0.1");
  CHECK(four.is_at("127.0.0.1"));
  CHECK_FALSE(four.is_at("127.0.0.2"));
  CHECK_FALSE(four.is_at("0.0.0.0"));
  CHECK_FALSE(four.is_at("*"));
  CHECK_FALSE(four.is_at("::"));
  CHECK_FALSE(
      is_bound_to(four.fd, {conf::Address::Kind::ip, "127.0.0.1", static_cast<uint16_t>(four.port + 1)}));
  const Bound six("::1");
  CHECK(six.is_at("::1"));
  CHECK(six.is_at("0:0:0:0:0:0:0:1"));
  CHECK_FALSE(six.is_at("*"));
}

TEST_CASE("all addresses are those of both families") {
  const Bound both("::", false), six("::"), four("0.0.0.0");
  CHECK(both.is_at("*"));
  CHECK_FALSE(both.is_at("::"));
  CHECK(six.is_at("::"));
  CHECK_FALSE(six.is_at("*"));
  CHECK(four.is_at("0.0.0.0"));
  CHECK_FALSE(four.is_at("*"));
}

TEST_CASE("what is passed to nobody, to another process or in no number is left alone") {
  const std::string mine = std::to_string(getpid()), other = std::to_string(getpid() + 1);
  for (const PassedSockets& none :
       {PassedSockets(nullptr, nullptr, nullptr), PassedSockets(nullptr, "1", nullptr),
        PassedSockets(other.c_str(), "1", nullptr), PassedSockets(mine.c_str(), "0", ""),
        PassedSockets(mine.c_str(), "-1", ""), PassedSockets(mine.c_str(), "1x", "a:b")}) {
    CHECK(none.unused({}).empty());
    CHECK(none.at({conf::Address::Kind::ip, "127.0.0.1", 80}).empty());
  }
}

}  // namespace limpet::net::passed_sockets_test
