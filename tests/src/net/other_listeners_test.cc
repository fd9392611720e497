// Sockets of another process are told from this one's.
#include "src/net/other_listeners.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "src/net/listener.h"
#include "tests/src/net/loopback.h"

namespace limpet::net::other_listeners_test {

using namespace limpet::test;

conf::Address address(const std::string& host, uint16_t port) {
  return {conf::Address::Kind::ip, host, port};
}

// Listens until it is gone, and shares its address with whoever asks.
class Other {
 public:
  explicit Other(const std::string& host) {
    std::string error;
    Socket socket(net::bind_socket(address(host, 0), false, error));
    REQUIRE(listen(socket.fd(), 1) == 0);
    port = port_of(socket.fd());
    child_ = fork();  // which has the socket as well
    if (child_ == 0) {
      for (;;) pause();
    }
  }
  ~Other() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  uint16_t port = 0;

 private:
  pid_t child_;
};

TEST_CASE("a process's own listeners are not others") {
  std::string error;
  for (const char* host : {"127.0.0.1", "0.0.0.0", "::1", "*"}) {
    Socket socket(net::bind_socket(address(host, 0), false, error));
    REQUIRE(listen(socket.fd(), 1) == 0);
    for (const char* wanted : {"127.0.0.1", "0.0.0.0", "::1", "::", "*"})
      CHECK_FALSE(net::others_listen(address(wanted, port_of(socket.fd()))));
  }
}

TEST_CASE(
    "another process's listener is found at every address that overlaps with its own, and at no other") {
  struct Row {
    const char* listens;
    std::vector<std::string> overlap, others;
  };
  const Row rows[] = {
      {"127.0.0.1", {"127.0.0.1", "0.0.0.0", "*"}, {"127.0.0.2", "::1", "::"}},
      {"0.0.0.0", {"127.0.0.1", "0.0.0.0", "*"}, {"::1", "::"}},
      {"::1", {"::1", "::", "*"}, {"127.0.0.1", "0.0.0.0"}},
      {"*", {"127.0.0.1", "0.0.0.0", "::1", "::", "*"}, {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.listens);
    const Other other(row.listens);
    for (const std::string& wanted : row.overlap) {
      CAPTURE(wanted);
      CHECK(net::others_listen(address(wanted, other.port)));
    }
    for (const std::string& wanted : row.others) {
      CAPTURE(wanted);
      CHECK_FALSE(net::others_listen(address(wanted, other.port)));
    }
    CHECK_FALSE(net::others_listen(address("*", static_cast<uint16_t>(other.port ^ 1))));
  }
}

}  // namespace limpet::net::other_listeners_test
