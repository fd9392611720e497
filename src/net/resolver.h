// Host names of backends, looked up beforehand and again every kRefresh, so that a container that comes back
// under another address is found and no request ever waits for a name server. One for the process.
//
// A lookup takes as long as the system likes, and nothing cancels it. So lookups run on threads of their own,
// whose end nobody waits for, and names that do not resolve never take all of these.
#pragma once

#include <netdb.h>
#include <uv.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace limpet::net {

class Resolver {
 public:
  static constexpr uint64_t kRefresh = 10'000;
  static constexpr std::chrono::milliseconds kFirst{1000};  // start() waits no longer for answers
  static constexpr size_t kMostLookups = 64;                // at a time, half of them of names that failed

  struct Answer {
    std::string wrong;  // why there are no addresses; empty: there are
    std::vector<sockaddr_storage> addresses{};
  };
  // Called on threads that outlive the resolver. Never twice at a time for one name.
  using Lookup = std::function<Answer(const std::string& name)>;
  static Answer ask_system(const std::string& name);

  // `refresh`: milliseconds from one round of lookups to the next.
  explicit Resolver(Lookup lookup = ask_system, uint64_t refresh = kRefresh);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // From any thread. The `index`th address of `name`, with `port`; false when there is none. An address that
  // stands in the system's answer again keeps its place, whatever the order of that.
  bool find(const std::string& name, unsigned index, uint16_t port, sockaddr_storage& out) const;
  size_t count(const std::string& name) const;  // of its addresses

  // All else is the loop's thread's. Looks every name up, side by side, and waits for the answers, but no
  // longer than kFirst. A name that fails is said in the log and tried again. Before the loop is destroyed
  // comes close().
  void start(uv_loop_t* loop, const std::vector<std::string>& names);
  // These names from now on; of those that are new the answers come later, and all others are forgotten.
  void watch(const std::vector<std::string>& names);
  void close();
  // Called when a name has lost an address that it had.
  void on_lost(std::function<void(const std::string& name)> hear) { on_lost_ = std::move(hear); }
  // Why a name has no address, for people; empty: it has one, or nobody has looked yet.
  std::string wrong(const std::string& name) const;

 private:
  struct Lookups;
  struct Name {
    bool wanted = true;
    bool asking = false;
    std::string wrong{};  // as the log has it; empty: nothing is
  };

  void refresh();
  void ask(const std::string& text, Name& name);
  void take_answers();
  void take(const std::string& text, Name& name, Answer answer);
  void note(const std::string& text, Name& name, const std::string& wrong);

  const std::shared_ptr<Lookups> lookups_;  // its threads have it too
  const uint64_t refresh_;
  std::map<std::string, Name> names_;
  std::function<void(const std::string&)> on_lost_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<sockaddr_storage>> addresses_;  // guarded by mutex_
  uv_timer_t timer_;
  uv_async_t answered_;
};

}  // namespace limpet::net
