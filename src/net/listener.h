// Listening sockets. Each worker has its own for the same address (SO_REUSEPORT), so that the kernel spreads
// connections and no worker wakes for another's.
#pragma once

#include <string>

#include "conf/settings.h"
#include "src/net/uv_stream.h"

namespace limpet::net {

class Loop;

// A bound socket, or -1 and what is wrong. With `alone` binding fails where any other process listens
// already.
int bind_socket(const conf::Address& address, bool alone, std::string& error);

class Acceptor {
 public:
  // `peer` is all zero where there is no IP address.
  virtual void on_accepted(UvStream* stream, const conf::IpAddress& peer) = 0;

 protected:
  ~Acceptor() = default;
};

// Owns the socket. Frees itself once it is closed.
class Listener {
 public:
  // `fd` comes from bind_socket(); `settings` outlives it. Accepts at once.
  static Listener* listen(Loop& loop, int fd, const conf::Listener& settings, Acceptor& acceptor,
                          std::string& error);
  void close();

 private:
  Listener(Loop& loop, const conf::Listener& settings, Acceptor& acceptor);
  void on_connection(int status);

  Loop& loop_;
  const conf::Listener& settings_;
  Acceptor& acceptor_;
  uv_tcp_t handle_;
};

}  // namespace limpet::net
