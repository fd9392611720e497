// Lets other threads run something on a loop's thread, between two events, and wait for what it returns.
#pragma once

#include <uv.h>

#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace limpet::net {

class Calls {
 public:
  explicit Calls(uv_loop_t* loop);
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  // From any thread but the loop's. nullopt: the loop takes no calls any more.
  template <class Work>
  auto call(Work work) -> std::optional<decltype(work())> {
    std::promise<std::optional<decltype(work())>> promise;
    auto answer = promise.get_future();
    if (!post([&](bool open) { promise.set_value(open ? std::optional(work()) : std::nullopt); }))
      return std::nullopt;
    return answer.get();
  }

  // From any thread, without waiting: `work(true)` on the loop's thread, or work(false) where close() came
  // first. False: the loop takes no calls any more, and `work` is not called.
  bool post(std::function<void(bool open)> work);

  // On the loop's thread: takes no more, answers those that wait, and closes.
  void close();

 private:
  void run(bool open);

  std::mutex mutex_;
  std::vector<std::function<void(bool)>> waiting_;  // guarded by mutex_, as is the next
  bool closed_ = false;
  uv_async_t wake_;
};

}  // namespace limpet::net
