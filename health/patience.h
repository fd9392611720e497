// How long a request waits for its own home before it is failed over, and when it knocks again meanwhile.
#pragma once

#include <cstdint>

namespace limpet::health {

// Times are milliseconds of any monotonic clock, passed in.
class Patience {
 public:
  // A process that is being replaced listens again within tens of milliseconds.
  static constexpr uint64_t kFirstPause = 50;
  static constexpr uint64_t kLongestPause = 1000;

  // When to knock next, after an attempt that failed at `now`; 0: patience is at an end. It begins with the
  // first failure.
  uint64_t next_attempt(uint64_t now, uint64_t patience_ms);

 private:
  uint64_t until_ = 0;  // 0: nothing has failed yet
  uint64_t pause_ = 0;
};

}  // namespace limpet::health
