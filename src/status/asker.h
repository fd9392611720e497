// A thread that does, one after the other, what takes time: it asks the balancer's main thread, waits, and
// puts what that says into words. Whoever asked waits for it; nobody else does.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace limpet::status {

class Asker {
 public:
  Asker() = default;
  ~Asker() { stop(); }
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  void start();
  void stop();  // after what is under way; the rest is dropped

  // From any thread. `tag` says whose it is.
  void ask(uint64_t tag, std::function<void()> work);
  void drop(uint64_t tag);  // if it has not begun

 private:
  struct Work {
    uint64_t tag;
    std::function<void()> run;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> waiting_;  // guarded by mutex_, as is the next
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace limpet::status
