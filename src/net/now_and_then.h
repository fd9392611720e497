// For what is said, or done, at most every so often, however often there is reason to.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace limpet::net {

class NowAndThen {
 public:
  explicit NowAndThen(std::chrono::milliseconds every) : every_(every.count()) {}

  // From any thread: true for one of those that ask within so long.
  bool is_time() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    const int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
    int64_t due = at_.load(std::memory_order_relaxed);
    return now >= due && at_.compare_exchange_strong(due, now + every_);
  }

 private:
  const int64_t every_;
  std::atomic<int64_t> at_{0};
};

}  // namespace limpet::net
