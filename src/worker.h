// One worker: a thread with its own loop, listeners, connections and pools' backend connections. What workers
// share, Shared and the plan name.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "src/access_log.h"
#include "src/net/listener.h"
#include "src/net/loop.h"
#include "src/net/resolver.h"
#include "src/net/small_files.h"
#include "src/proxy/client_connection.h"
#include "src/proxy/context.h"

namespace limpet {

// What all workers share; outlives them. Constant, or thread-safe by itself.
struct Shared {
  const net::Resolver& resolver;
  proxy::Witness& witness;
  AccessLog* access_log;  // nullptr: off
  net::Descriptors& descriptors;
  uint64_t process_number;  // random
};

// What a worker is to serve from now on.
struct Update {
  struct Socket {
    size_t listener;         // its place in the plan's settings
    int fd;                  // bound
    bool is_passed = false;  // it listens already, and others have it too
  };
  struct Withdrawal {
    size_t pool;  // PoolPlan::id
    routing::Slot slot;
  };
  std::shared_ptr<const proxy::Plan> plan;
  std::vector<Socket> sockets{};        // of listeners that it does not have yet
  std::vector<Withdrawal> withdrawn{};  // backends at which what is under way is cut
};

class Worker final : proxy::ClientConnections, proxy::Dialer, net::Keeper {
 public:
  // `index` counts the workers from 0. `on_done` is called on the worker's thread when it has ended.
  Worker(size_t index, const Shared& shared, std::shared_ptr<const proxy::Plan> plan,
         std::function<void()> on_done);
  ~Worker();  // waits for the thread
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before start(): listens; false and what is wrong where that fails.
  bool listen(const std::vector<Update::Socket>& sockets, std::string& error);
  void start();  // begins to serve on a thread of its own

  // From any thread.
  void follow(Update update);
  void shut_down();  // accepts no more, ends what is idle, lets exchanges finish
  void stop();       // ends everything now
  bool done() const { return done_; }
  // Whether its loop turns: it has ended, or answered the last ask().
  void ask();
  bool has_answered() const { return done_ || answered_ == asked_; }

 private:
  enum class Wish : int { serve, shut_down, stop };
  class Door;

  void accept(net::UvStream* stream, const conf::IpAddress& peer, proxy::ServedListener& listener);
  void on_client_closed() override;
  net::StreamPtr dial(const conf::Address& address, unsigned index, net::StreamOwner* owner,
                      int& error) override;
  size_t count(const conf::Address& address) const override;

  void make_room(int below) override;

  void wish(Wish what);
  void on_wake();
  void give_up_idle(int below);
  void take_updates();
  void take(Update update);
  void forget_those_over();
  void end();
  void run();
  void end_if_empty();

  const Shared shared_;
  const size_t index_;
  std::function<void()> on_done_;
  net::Loop loop_;
  std::unique_ptr<AccessLogBuffer> log_;
  proxy::Clock clock_;
  net::UvSmallFiles files_{loop_.uv()};
  std::unique_ptr<proxy::Context> context_;
  std::vector<std::unique_ptr<Door>> doors_;
  std::mutex mutex_;
  std::vector<Update> updates_;  // guarded by mutex_
  std::atomic<Wish> wish_{Wish::serve};
  std::atomic<bool> done_{false};
  std::atomic<uint64_t> asked_{0}, answered_{0};
  std::atomic<int> room_below_{0};  // of descriptors is wanted; 0: of none
  uv_async_t wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace limpet
