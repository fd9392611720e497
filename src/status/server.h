// The status endpoint's server: a thread of its own with a loop, a socket, and the few connections of
// operators, their browsers and whoever gathers metrics. None of it touches the traffic that is balanced: a
// flood of questions is met by the limits below.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "conf/settings.h"
#include "src/net/descriptors.h"
#include "src/status/control.h"

namespace limpet::status {

class Server {
 public:
  static constexpr size_t kMostConnections = 64;   // the next one is answered 503
  static constexpr size_t kMostEventStreams = 16;  // the next one is answered 503

  // Listens and serves, or says what is wrong. `settings` has an address. `token`: for what changes anything;
  // empty where none is needed. `control` and `descriptors` outlive it.
  //
  // `control` is called from the server's thread, and answers every call until ~Server() has returned: who
  // destroys the server on the thread that answers those calls has to refuse them from then on, or the two
  // wait for each other.
  static std::variant<std::unique_ptr<Server>, std::string> start(const conf::Status& settings,
                                                                  const std::string& token, Control& control,
                                                                  net::Descriptors& descriptors);
  ~Server();  // ends all connections and waits for the thread

  uint16_t port() const;  // that it listens at

 private:
  class Thread;
  explicit Server(std::unique_ptr<Thread> thread);

  std::unique_ptr<Thread> thread_;
};

}  // namespace limpet::status
