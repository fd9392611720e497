// How many requests of a pool may be tried again: a share of those of the last ten seconds, and a number a
// second besides, so that a pool that fails is not asked many times as much as one that works ("retry
// budgets", as Finagle has them). Of one worker.
//
// Requests that a backend has seen and those that none has each have as many: what a server dies of may be
// repeated by one client as often as it likes, and leaves the others theirs.
#pragma once

#include <array>
#include <cstdint>

#include "src/net/deadlines.h"

namespace limpet::proxy {

class RetryBudget {
 public:
  static constexpr uint64_t kSeconds = 10;

  enum class Of : uint8_t { unseen, seen };

  // `percent` of the requests, and `floor` a second.
  void allow(uint32_t percent, uint32_t floor) { percent_ = percent, floor_ = floor; }

  void began(net::Millis now) { ++at(now).requests; }
  bool has_left(net::Millis now, Of of) {
    const Second& second = at(now);
    uint64_t requests = 0, retries = 0;
    for (const Second& one : seconds_) {
      if (one.number + kSeconds <= second.number) continue;
      requests += one.requests;
      retries += one.retries[static_cast<size_t>(of)];
    }
    return retries * 100 < requests * percent_ + floor_ * kSeconds * 100;
  }
  void spend(net::Millis now, Of of) { ++at(now).retries[static_cast<size_t>(of)]; }

 private:
  struct Second {
    uint64_t number = 0;
    uint64_t requests = 0;
    std::array<uint64_t, 2> retries{};
  };

  Second& at(net::Millis now) {
    const uint64_t number = now / 1000;
    Second& second = seconds_[number % kSeconds];
    if (second.number != number) second = {.number = number};
    return second;
  }

  uint64_t percent_ = 0, floor_ = 0;
  std::array<Second, kSeconds> seconds_;
};

}  // namespace limpet::proxy
