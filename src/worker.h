// One worker: a thread with its own loop, listeners, connections and pools' backend connections. What workers
// share, Shared names.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "src/access_log.h"
#include "src/net/listener.h"
#include "src/net/loop.h"
#include "src/net/resolver.h"
#include "src/proxy/client_connection.h"
#include "src/proxy/context.h"

namespace limpet {

// What all workers share; outlives them. Constant, or thread-safe by itself.
struct Shared {
  const conf::Settings& settings;
  const routing::Routes& routes;
  const std::vector<std::unique_ptr<routing::Router>>& routers;
  const net::Resolver& resolver;
  AccessLog* access_log;  // nullptr: off
};

class Worker final : net::Acceptor, proxy::ClientConnections, proxy::Dialer {
 public:
  // `sockets` are bound, one for each listener in the settings. `on_done` is called on the worker's thread
  // when it has ended.
  Worker(const Shared& shared, std::vector<int> sockets, std::function<void()> on_done);
  ~Worker();  // waits for the thread
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Listens; false and what is wrong where that fails. Then start() begins to serve on a thread of its own.
  bool listen(std::string& error);
  void start();

  // From any thread.
  void shut_down();  // accepts no more, ends what is idle, lets exchanges finish
  void stop();       // ends everything now
  bool done() const { return done_; }

 private:
  enum class Wish : int { serve, shut_down, stop };

  void on_accepted(net::UvStream* stream, const conf::IpAddress& peer,
                   const conf::Listener& listener) override;
  void on_client_closed(proxy::ClientConnection& connection) override;
  net::StreamPtr dial(const conf::Address& address, unsigned attempt, net::StreamOwner* owner,
                      int& error) override;

  void wish(Wish what);
  void on_wish();
  void run();
  void end_if_empty();

  const Shared shared_;
  std::vector<int> sockets_;
  std::function<void()> on_done_;
  net::Loop loop_;
  std::unique_ptr<AccessLogBuffer> log_;
  proxy::Clock clock_;
  std::unique_ptr<proxy::Context> context_;
  std::vector<net::Listener*> listeners_;
  proxy::ClientConnection* clients_ = nullptr;  // the head of a list; each owns itself
  std::atomic<Wish> wish_{Wish::serve};
  std::atomic<bool> done_{false};
  uv_async_t wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace limpet
