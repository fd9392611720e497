// How long a request waits for its own home before it is failed over, and when it knocks again meanwhile.
#pragma once

#include <algorithm>
#include <cstdint>

namespace limpet::health {

// Times are milliseconds of any monotonic clock, passed in.
class Patience {
 public:
  static constexpr uint64_t kFirstPause =
      50;  // a process that is being replaced listens again within tens of milliseconds
  static constexpr uint64_t kLongestPause = 1000;

  // When to knock next, after an attempt that failed at `now`; 0: patience is at an end. It begins with the
  // first failure.
  uint64_t next_attempt(uint64_t now, uint64_t patience_ms) {
    if (until_ == 0) {
      until_ = now + patience_ms;
      pause_ = kFirstPause;
    }
    if (now >= until_) return 0;
    const uint64_t at = std::min(now + pause_, until_);
    pause_ = std::min(pause_ * 2, kLongestPause);
    return at;
  }

 private:
  uint64_t until_ = 0;  // 0: nothing has failed yet
  uint64_t pause_ = 0;
};

}  // namespace limpet::health
