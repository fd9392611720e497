#include "src/net/passed_sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "conf/ascii.h"
#include "conf/ip_address.h"
#include "conf/spelling.h"
#include "src/net/listener.h"
#include "src/net/socket_address.h"

namespace limpet::net {

namespace {

int option(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

// Empty, or why nobody can listen at it.
std::string prepare(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return std::string("is none: ") + std::strerror(errno);
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return "is of no IP address";
  if (option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM || option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
    return "does not listen for TCP";
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
      !set_options_of_accepted(fd))
    return std::string("cannot be made ready: ") + std::strerror(errno);
  return {};
}

}  // namespace

bool is_bound_to(int fd, const conf::Address& address) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0 || port_in(bound) != address.port)
    return false;
  const bool takes_v4_too = bound.ss_family == AF_INET6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0 &&
                            std::memcmp(&reinterpret_cast<const sockaddr_in6&>(bound).sin6_addr, &in6addr_any,
                                        sizeof(in6_addr)) == 0;
  if (address.host == "*" || takes_v4_too) return address.host == "*" && takes_v4_too;
  return from_sockaddr(bound) == conf::IpAddress::parse(address.host);
}

PassedSockets::PassedSockets(const char* process, const char* count, const char* names) {
  if (process == nullptr || count == nullptr || whole_number<pid_t>(process) != getpid()) return;
  std::string_view left = names != nullptr ? names : "";
  const int sockets = whole_number<int>(count).value_or(0);
  for (int i = 0; i < sockets; ++i) {
    const int fd = kFirst + i;
    if (fcntl(fd, F_GETFD) < 0) break;  // there are not as many
    const std::string_view name = take_until(left, ':');
    sockets_.push_back({fd, std::string(name), prepare(fd)});
  }
}

PassedSockets PassedSockets::of_environment() {
  return {std::getenv("LISTEN_PID"), std::getenv("LISTEN_FDS"), std::getenv("LISTEN_FDNAMES")};
}

std::vector<int> PassedSockets::at(const conf::Address& address) const {
  std::vector<int> found;
  for (const Passed& socket : sockets_)
    if (socket.wrong.empty() && is_bound_to(socket.fd, address)) found.push_back(socket.fd);
  return found;
}

std::vector<std::string> PassedSockets::unused(const std::vector<conf::Listener>& listeners) const {
  std::vector<std::string> lines;
  for (const Passed& socket : sockets_) {
    const bool is_used = std::any_of(listeners.begin(), listeners.end(), [&](const conf::Listener& listener) {
      return is_bound_to(socket.fd, listener.address);
    });
    const std::string who = "the passed socket " + std::to_string(socket.fd) +
                            (socket.name.empty() ? "" : " (" + conf::escaped(socket.name) + ")");
    if (!socket.wrong.empty()) {
      lines.push_back(who + " " + socket.wrong);
    } else if (!is_used) {
      lines.push_back(who + " is bound to no listener's address: whoever connects to it waits for ever");
    }
  }
  return lines;
}

}  // namespace limpet::net
