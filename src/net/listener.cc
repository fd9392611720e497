#include "src/net/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "src/net/loop.h"
#include "src/net/socket_address.h"

namespace limpet::net {

namespace {

constexpr int kLastPart = 8;    // of the descriptors that clients may have the last eighth is the end of them
constexpr int kBacklog = 4096;  // the kernel caps it at net.core.somaxconn

// Bytes that the kernel takes of a connection beyond what is under way to the client. It would take 4 MB of
// one that does not read (tcp_wmem), and a few hundred of those would use up what it has for all sockets of
// the machine (tcp_mem).
constexpr int kMostUnsent = 512 * 1024;

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

int bind_to(const sockaddr_storage& address, bool alone, bool both_families) {
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  bool good = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (!alone) good = good && set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  good = good && set_options_of_accepted(fd);
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

bool set_options_of_accepted(int fd) {
  return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
         set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kMostUnsent);
}

Listener::Listener(Loop& loop, int fd, Descriptors& descriptors, Intake intake, Acceptor& acceptor)
    : loop_(loop),
      descriptors_(descriptors),
      intake_(intake),
      acceptor_(acceptor),
      fd_(fd),
      pause_(loop.deadlines(), *this) {}

Listener* Listener::listen(Loop& loop, int fd, const conf::Listener& settings, Descriptors& descriptors,
                           Intake intake, Acceptor& acceptor, std::string& error) {
  auto* made = new Listener(loop, fd, descriptors, intake, acceptor);
  if (const int status = uv_poll_init(loop.uv(), &made->poll_, fd); status != 0) {
    error = settings.address.text() + ": " + uv_strerror(status);
    ::close(fd);
    delete made;
    return nullptr;
  }
  made->poll_.data = made;
  if (::listen(fd, kBacklog) == 0 && made->start()) return made;
  error = settings.address.text() + ": " + std::strerror(errno);
  made->close();
  return nullptr;
}

bool Listener::start() {
  const auto on_event = [](uv_poll_t* poll, int status, int) {
    Listener& self = *static_cast<Listener*>(poll->data);
    if (status != 0) return self.pause(status);
    for (unsigned taken = 0; taken < self.intake_.at_once && self.take_one(); ++taken) {
    }
  };
  return uv_poll_start(&poll_, UV_READABLE, on_event) == 0;
}

// False: nobody waits, or whoever waits has to go on waiting.
bool Listener::take_one() {
  sockaddr_storage peer;
  peer.ss_family = AF_UNSPEC;
  socklen_t size = sizeof peer;
  const int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    if (!may_have(fd)) return true;
    UvStream* const stream = UvStream::adopt(loop_, fd);
    if (stream != nullptr) acceptor_.on_accepted(stream, from_sockaddr(peer));
    return true;
  }
  switch (errno) {
    case EAGAIN:
      return false;
    case EINTR:
    case ECONNABORTED:  // this connection's own errors: the next one may be good (accept(2))
    case EPROTO:
    case EPERM:
    case ENOPROTOOPT:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return true;
    default:
      pause(-errno);
      return false;
  }
}

// False: it was refused. Room is made while there is still some, so that nobody is refused for what is idle.
bool Listener::may_have(int connection) {
  if (!intake_.leaves_reserves) return true;
  const int below = descriptors_.for_clients();
  if (connection < below - below / kLastPart) return true;
  descriptors_.running_out();
  acceptor_.on_shortage();
  if (connection < below) return true;
  descriptors_.look_again();
  if (connection < descriptors_.for_clients()) return true;
  refuse(connection);
  return false;
}

// By a reset: the client knows at once that nothing was done, and no end of it stays here for a minute.
void Listener::refuse(int connection) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(connection);
  descriptors_.met(Descriptors::Shortage::refused, -EMFILE);
}

// Who waits is still there, and the poll would say so again and again.
void Listener::pause(int error) {
  descriptors_.met(Descriptors::Shortage::deferred, error);
  uv_poll_stop(&poll_);
  pause_.set(loop_.deadlines().now() + kPause);
  acceptor_.on_shortage();
}

// No packet comes from that interface, so that the kernel passes this socket over for new connections; one
// whose handshake has begun goes on. Linux before 5.7 lets nobody without CAP_NET_RAW do this, and whoever
// connects during close() is reset there.
void Listener::turn_away() {
  if (!intake_.is_shared) set_option(fd_, SOL_SOCKET, SO_BINDTOIFINDEX, std::numeric_limits<int>::max());
  for (int taken = 0; taken < kBacklog && take_one(); ++taken) {
  }
}

void Listener::close() {
  pause_.clear();
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
           [](uv_handle_t* handle) { delete static_cast<Listener*>(handle->data); });
  ::close(fd_);
}

}  // namespace limpet::net
