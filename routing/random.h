// Random numbers for placement and for sessions' numbers: SplitMix64 (Steele, Lea & Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014). Not for secrets: whoever sees one number knows the next.
#pragma once

#include <atomic>
#include <cstdint>

#include "routing/hash.h"

namespace limpet::routing {

uint64_t random_seed();  // from the system; throws std::runtime_error where that has none

// SplitMix64's step: 2^64 / the golden ratio, made odd.
inline constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

// Shared by threads without a lock, since each number takes one addition; none comes twice in 2^64.
class SharedRandom {
 public:
  explicit SharedRandom(uint64_t seed) : state_(seed) {}
  uint64_t next() { return mixed(state_.fetch_add(kGolden, std::memory_order_relaxed)); }

 private:
  std::atomic<uint64_t> state_;
};

// One thread's.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() { return mixed(state_ += kGolden); }

  // Uniform in [0, bound) but for a bias of bound / 2^64 (D. Lemire, "Fast random integer generation in an
  // interval", ACM TOMACS 29(1), 2019).
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>(static_cast<unsigned __int128>(next()) * bound >> 64);
  }

 private:
  uint64_t state_;
};

}  // namespace limpet::routing
