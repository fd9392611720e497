// The status endpoint's server: a thread with a loop, a socket, and the few connections of
// operators, their browsers and whoever gathers metrics. None of it touches the traffic that is balanced: a
// flood of questions is met by the limits below.
//
// Whoever connects is let in. Where there is no room it is made: the connection that is worth least is closed
// (Connection::worth()), so that those who ask nothing, send slowly or read slowly keep nobody else out. What
// takes time is asked by another thread (Asker), so that who waits for an answer keeps nobody waiting who
// asks for health.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "conf/settings.h"
#include "src/net/descriptors.h"
#include "src/net/tls_server.h"
#include "src/status/control.h"

namespace limpet::status {

class Server {
 public:
  // Of the connections that there may be at once, Descriptors::for_status(), a quarter may be streams of
  // events; the next one is answered 503.
  static constexpr size_t kStreamsOneIn = 4;

  // Listens and serves, or says what is wrong. `settings` has an address. `token`: for what changes anything;
  // empty where none is needed. `identity`: what it shows by TLS; nullptr: it speaks none. `control` and
  // `descriptors` outlive it.
  //
  // `control` is called from a thread of the server's, and answers every call until ~Server() has returned:
  // who destroys the server on the thread that answers those calls has to refuse them from then on, or the
  // two wait for each other.
  static std::variant<std::unique_ptr<Server>, std::string> start(
      const conf::Status& settings, const std::string& token, Control& control, net::Descriptors& descriptors,
      const net::SharedTlsIdentity& identity = nullptr);
  ~Server();  // ends all connections and waits for the thread

  uint16_t port() const;  // that it listens at

  // What it shows to new connections from now on; nullptr: they are plain.
  void use(net::SharedTlsIdentity identity);
  // The token that changes need, from when this returns; empty: none.
  void require(std::string_view token);

 private:
  class Thread;
  explicit Server(std::unique_ptr<Thread> thread);

  std::unique_ptr<Thread> thread_;
};

}  // namespace limpet::status
