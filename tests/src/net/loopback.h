// Streams between a loop and plain sockets that the test holds itself, on the loopback interface.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/net/listener.h"
#include "src/net/loop.h"
#include "src/net/socket_address.h"
#include "src/net/uv_stream.h"
#include "tests/support/descriptors.h"

namespace limpet::test {

// Hears a stream and remembers.
struct Owner final : net::StreamOwner {
  int connected = 0, ends = 0, drained = 0, broken = 0;
  int error = 0;
  std::string bytes;
  void on_connected() override { ++connected; }
  void on_bytes(std::string_view more) override { bytes.append(more); }
  void on_end() override { ++ends; }
  void on_drained() override { ++drained; }
  void on_broken(int why) override {
    ++broken;
    error = why;
  }
  int events() const { return connected + ends + drained + broken + static_cast<int>(bytes.size()); }
};

// A blocking socket that gives up waiting after some seconds.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {
    const timeval patience{.tv_sec = kPatience, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent =
          uninterrupted([&] { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
      REQUIRE(sent > 0);
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void end() { ::shutdown(fd_, SHUT_WR); }
  // What comes next: 0 at the end, -1 when nothing came for those seconds.
  ssize_t receive(char* into, size_t most) const {
    return uninterrupted([&] { return ::recv(fd_, into, most, 0); });
  }
  int accept() const {  // blocking or not
    pollfd waiting{fd_, POLLIN, 0};
    REQUIRE(uninterrupted([&]() -> ssize_t { return ::poll(&waiting, 1, kPatience * 1000); }) == 1);
    return ::accept(fd_, nullptr, nullptr);
  }
  // What is there now; says in `end` whether the connection ended, and how (0: orderly, else errno).
  std::string take(bool& ended, int& error) {
    std::string text(256 * 1024, '\0');
    const ssize_t size = ::recv(fd_, text.data(), text.size(), MSG_DONTWAIT);
    const bool nothing = size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    ended = size <= 0 && !nothing;
    error = size < 0 && !nothing ? errno : 0;
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return text;
  }

 private:
  static constexpr int kPatience = 30;  // seconds

  // What waits for so long at most is not taken up again by itself after an interruption; and from libuv 1.45
  // on the end of a loop, which has an io_uring, interrupts the thread that made it.
  template <typename Call>
  static ssize_t uninterrupted(Call call) {
    ssize_t result;
    do result = call();
    while (result < 0 && errno == EINTR);
    return result;
  }

  int fd_;
};

inline uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);  // at the same place in IPv6
}

inline int connect_to(const std::string& host, uint16_t port) {
  sockaddr_storage address;
  REQUIRE(net::to_sockaddr(host, port, address));
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const socklen_t size = address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  ::close(fd);
  return -1;
}

// A loop and one listener on it.
class Loopback : public net::Acceptor {
 public:
  explicit Loopback(const std::string& host = "127.0.0.1", net::Intake intake = {},
                    uint64_t limit = 1'000'000)
      : descriptors(limit_of(limit)) {
    signal(SIGPIPE, SIG_IGN);  // as the program does
    settings_.address = {conf::Address::Kind::ip, host, 0};
    std::string error;
    const int fd = net::bind_socket(settings_.address, false, error);
    REQUIRE(error == "");
    port = port_of(fd);
    listener_ = net::Listener::listen(loop, fd, settings_, descriptors, intake, *this, error);
    REQUIRE(listener_ != nullptr);
  }
  ~Loopback() {
    close_listener();
    for (net::UvStream* stream : accepted) stream->close();
  }
  void turn_away() { listener_->turn_away(); }
  void close_listener() {
    if (listener_ != nullptr) listener_->close();
    listener_ = nullptr;
  }

  // A stream to that port of this machine.
  net::UvStream* dial(uint16_t to, Owner& owner) {
    sockaddr_storage address;
    REQUIRE(net::to_sockaddr("127.0.0.1", to, address));
    int why = 0;
    net::UvStream* const made = net::UvStream::connect(loop, reinterpret_cast<const sockaddr*>(&address),
                                                       net::kAnyDescriptor, &owner, why);
    REQUIRE(why == 0);
    REQUIRE(made != nullptr);
    return made;
  }

  // Runs the loop until `holds`, or for so long that it never will.
  bool until(const std::function<bool()>& holds) {
    for (int i = 0; i < 10'000; ++i) {
      uv_run(loop.uv(), UV_RUN_NOWAIT);
      if (holds()) return true;
      poll(nullptr, 0, 1);
    }
    return false;
  }
  void for_a_while() {
    for (int i = 0; i < 30; ++i) {
      uv_run(loop.uv(), UV_RUN_NOWAIT);
      poll(nullptr, 0, 1);
    }
  }

  net::Loop loop;
  net::Descriptors descriptors;
  uint16_t port = 0;
  int shortages = 0;
  std::function<void()> at_shortage;
  std::vector<net::UvStream*> accepted;  // closed at the end; take out what was closed before
  std::vector<conf::IpAddress> peers;

 private:
  void on_accepted(net::UvStream* stream, const conf::IpAddress& peer) override {
    accepted.push_back(stream);
    peers.push_back(peer);
  }
  void on_shortage() override {
    ++shortages;
    if (at_shortage) at_shortage();
  }

  conf::Listener settings_;
  net::Listener* listener_ = nullptr;
};

// A stream on the loop, accepted, and the socket at its other end.
struct Pair : Loopback {
  Pair() : socket(connect_to("127.0.0.1", port)) {
    REQUIRE(until([&] { return accepted.size() == 1; }));
    stream = accepted[0];
    stream->start(&owner);
  }
  bool write(std::string_view text) {
    const iovec part{const_cast<char*>(text.data()), text.size()};
    return stream->write({&part, 1});
  }
  void forget() { accepted.clear(); }  // the test has closed the stream
  // All that the socket receives until the connection ends, or `size` bytes; the loop runs meanwhile.
  std::string receive(size_t size = static_cast<size_t>(-1)) {
    std::string text;
    ended = false;
    until([&] {
      text += socket.take(ended, error);
      return ended || text.size() >= size;
    });
    return text;
  }

  Socket socket;
  Owner owner;
  net::UvStream* stream = nullptr;
  bool ended = false;
  int error = 0;
};

}  // namespace limpet::test
