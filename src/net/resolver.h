// Host names of backends, looked up beforehand and again every kRefresh, so that a container that comes back
// under another address is found and no request ever waits for a name server. One for the process; lookups
// are thread-safe.
#pragma once

#include <netdb.h>
#include <uv.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace limpet::net {

class Resolver {
 public:
  static constexpr uint64_t kRefresh = 10'000;  // milliseconds

  Resolver();
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // The address of `name` that is `index`th in the system's order of preference, with `port`; false when
  // there is none.
  bool find(const std::string& name, unsigned index, uint16_t port, sockaddr_storage& out) const;

  // Looks every name up once, waiting for the answers. One that fails is said in the log and tried again.
  // Lookups end with the loop, so that has to be destroyed first.
  void start(uv_loop_t* loop, const std::vector<std::string>& names);
  // These names from now on; of those that are new the answers come later.
  void watch(const std::vector<std::string>& names);
  void close();  // before the loop ends

 private:
  struct Name;
  Name* add(const std::string& text);
  void refresh();
  void ask(Name& name);
  void take(Name& name, const char* wrong, const addrinfo* found);

  std::vector<std::unique_ptr<Name>> names_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<sockaddr_storage>> addresses_;  // guarded by mutex_; one thread writes
  uv_timer_t timer_;
};

}  // namespace limpet::net
