#include "src/net/listener.h"

#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "src/net/loop.h"
#include "src/net/socket_address.h"

namespace limpet::net {

namespace {

constexpr int kBacklog = 4096;  // the kernel caps it at net.core.somaxconn

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

int bind_to(const sockaddr_storage& address, bool alone, bool both_families) {
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  bool good = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (!alone) good = good && set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.ss_family == AF_INET6)
    good = good && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? 0 : 1);
  const socklen_t size = address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (good && bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace

int bind_socket(const conf::Address& address, bool alone, std::string& error) {
  sockaddr_storage where{};
  const bool any = address.host == "*";
  to_sockaddr(any ? "::" : address.host, address.port, where);
  int fd = bind_to(where, alone, any);
  if (fd < 0 && any && errno == EAFNOSUPPORT) {
    to_sockaddr("0.0.0.0", address.port, where);
    fd = bind_to(where, alone, false);
  }
  if (fd < 0) error = address.text() + ": " + std::strerror(errno);
  return fd;
}

Listener::Listener(Loop& loop, const conf::Listener& settings, Acceptor& acceptor)
    : loop_(loop), settings_(settings), acceptor_(acceptor) {
  uv_tcp_init(loop.uv(), &handle_);
  handle_.data = this;
}

Listener* Listener::listen(Loop& loop, int fd, const conf::Listener& settings, Acceptor& acceptor,
                           std::string& error) {
  auto* made = new Listener(loop, settings, acceptor);
  int status = uv_tcp_open(&made->handle_, fd);
  if (status == 0) {
    status = uv_listen(
        reinterpret_cast<uv_stream_t*>(&made->handle_), kBacklog,
        [](uv_stream_t* handle, int result) { static_cast<Listener*>(handle->data)->on_connection(result); });
  }
  if (status == 0) return made;
  error = settings.address.text() + ": " + uv_strerror(status);
  made->close();
  return nullptr;
}

void Listener::on_connection(int status) {
  if (status != 0) {
    spdlog::warn("listener {}: a connection could not be accepted: {}", settings_.name, uv_strerror(status));
    return;
  }
  UvStream* const stream = UvStream::accept(loop_, reinterpret_cast<uv_stream_t*>(&handle_));
  if (stream == nullptr) return;
  sockaddr_storage peer{};
  int size = sizeof peer;
  conf::IpAddress address{};
  if (uv_tcp_getpeername(stream->tcp(), reinterpret_cast<sockaddr*>(&peer), &size) == 0)
    address = from_sockaddr(peer);
  acceptor_.on_accepted(stream, address);
}

void Listener::close() {
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_),
           [](uv_handle_t* handle) { delete static_cast<Listener*>(handle->data); });
}

}  // namespace limpet::net
