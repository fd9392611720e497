// What the benchmark's programs share: loopback sockets, epoll, and giving up.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bench {

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline void send_at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

inline void do_not_wait(int fd) { ::fcntl(fd, F_SETFL, O_NONBLOCK); }

inline Socket listen_at(uint16_t port) {
  Socket listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  if (::bind(listener.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("bind");
  if (::listen(listener.fd(), 4096) != 0) die("listen");
  return listener;
}

// Not open when nobody is waiting.
inline Socket accept_from(const Socket& listener) {
  Socket accepted(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK));
  if (accepted.is_open()) send_at_once(accepted.fd());
  return accepted;
}

// Waits until it is connected; not open when that failed.
inline Socket connect_to(uint16_t port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Socket();
  send_at_once(socket.fd());
  return socket;
}

class Epoll {
 public:
  Epoll() : fd_(::epoll_create1(0)) {}
  void add(const Socket& socket, void* owner, uint32_t events) const {
    control(EPOLL_CTL_ADD, socket, owner, events);
  }
  void change(const Socket& socket, void* owner, uint32_t events) const {
    control(EPOLL_CTL_MOD, socket, owner, events);
  }
  int fd() const { return fd_.fd(); }

 private:
  void control(int operation, const Socket& socket, void* owner, uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = owner;
    if (::epoll_ctl(fd_.fd(), operation, socket.fd(), &event) != 0) die("epoll_ctl");
  }
  Socket fd_;
};

// As many open files as this process may have.
inline void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace bench
