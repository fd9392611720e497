// A command's connection to the status endpoint, waited for: a socket whose calls all end by one deadline,
// and what goes through it, plainly or by TLS.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>

#include "src/net/openssl.h"

namespace limpet::status {

// Where a call fails, errno says why.
class Socket {
 public:
  using Clock = std::chrono::steady_clock;

  Socket(int family, Clock::time_point deadline);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool connect(const sockaddr* address, socklen_t size) const;
  bool send(std::string_view bytes) const;
  // Appends what comes next: its size, 0 at the end, or -1.
  ssize_t receive(std::string& in) const;

 private:
  bool wait_for(short events) const;

  const int fd_;
  const Clock::time_point deadline_;
};

class Channel {
 public:
  // `socket` is connected, and outlives it. `tls`: nullptr: plainly. A server whose own certificate is among
  // the trusted ones is believed under any name: whoever trusts that certificate means this server.
  Channel(const Socket& socket, net::SslPtr tls);

  bool is_tls() const { return tls_ != nullptr; }

  std::string shake_hands();  // empty, or what is wrong
  // As the socket's.
  bool send(std::string_view bytes);
  ssize_t receive(std::string& in);

 private:
  ssize_t feed();  // what comes next, into TLS: as Socket::receive()
  bool flush();    // what TLS has to say, into the socket
  std::string failure() const;

  const Socket& socket_;
  const net::SslPtr tls_;
  bool began_a_record_ = false;  // of a handshake or an alert: what came last
};

}  // namespace limpet::status
