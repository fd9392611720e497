// How often each client may come: so many times a second on average, and so many at once.
//
// This is the Generic Cell Rate Algorithm (ITU-T Recommendation I.371, "virtual scheduling"): a token bucket
// of which one time is kept for each client, that at which its bucket would be full again. Each that comes
// moves it on by the interval between two; one that would move it further ahead of now than a whole bucket
// takes is one too many, and moves nothing.
//
// Bounded: 65,536 clients in sets of a cache line each, 512 KiB. Whoever's bucket is full is as if it had
// never come, and gives way first. Where nobody's of a set is, the fullest gives way: that client has its
// whole burst anew, and nobody is refused for want of room. Keys are keyed hashes: nobody can choose who is
// in a set with it, and two clients of a set are taken for one once in 16 million.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace limpet::routing {

// To the microsecond, in favour of clients.
struct Rate {
  uint64_t interval_us = 1;  // between two, on average
  uint64_t bucket_us = 1;    // that a whole burst takes to come back

  // Neither is 0.
  static constexpr Rate of(uint32_t per_second, uint32_t burst) {
    const uint64_t interval = 1'000'000 / per_second;
    return {interval, interval * burst};
  }
};

// Thread-safe, without a lock.
class Rates {
 public:
  static constexpr size_t kSets = 8192, kWays = 8;

  // The client comes: 0, or how many microseconds it has to wait until it may. `now_us` is of a clock that
  // nobody sets. The rate may be another each time: whoever is ahead by more than it allows, and a second, is
  // as if it had never come.
  uint64_t take(uint64_t client, uint64_t now_us, const Rate& rate);

 private:
  struct alignas(64) Set {
    std::array<std::atomic<uint64_t>, kWays> ways{};  // each a tag and a time; 0: nobody's
  };
  // Where a time is to be written, if nobody else writes there meanwhile.
  struct Place {
    std::atomic<uint64_t>* way = nullptr;
    uint64_t word = 0;   // what is there
    uint64_t ahead = 0;  // of now, the client's time
  };

  static Place place_for(Set& set, uint64_t tag, uint64_t now_us, const Rate& rate);

  std::array<Set, kSets> sets_{};
};

}  // namespace limpet::routing
