#include "health/patience.h"

#include <algorithm>

namespace limpet::health {

uint64_t Patience::next_attempt(uint64_t now, uint64_t patience_ms) {
  if (until_ == 0) {
    until_ = now + patience_ms;
    pause_ = kFirstPause;
  }
  if (now >= until_) return 0;
  const uint64_t at = std::min(now + pause_, until_);
  pause_ = std::min(pause_ * 2, kLongestPause);
  return at;
}

}  // namespace limpet::health
