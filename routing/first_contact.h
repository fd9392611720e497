// Where clients were placed just now that came without any key. A browser's first requests come in parallel,
// before it has one; what they begin belongs together, so they go to one backend.
//
// Bounded: some thousand clients in sets of a cache line each. Where a set is full the oldest gives way, and
// that client's next request is placed by itself.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "routing/fleet.h"

namespace limpet::routing {

// Thread-safe, without a lock. `client` is a keyed hash of the client's address; `now` in seconds of a clock
// that nobody sets, which may differ by a second from one thread to another.
class FirstContacts {
 public:
  // Seconds for which requests follow the first one: never less, and up to one more.
  static constexpr uint32_t kWindow = 2;
  // So many follow at most; the next is placed anew, and others follow that.
  static constexpr uint32_t kFollowers = 16;

  // Where the client's first request went, if this one is to follow it; else kNoSlot. Counts it. What the
  // slot is by now is the caller's to look at.
  Slot follow(uint64_t client, uint32_t now);

  // The client has been placed at `slot`, after it was to follow to `before`, which could not take it
  // (kNoSlot: to none). Returns `slot`; or where a concurrent request of the same client was placed
  // meanwhile, which this one is to follow.
  Slot begin(uint64_t client, Slot slot, Slot before, uint32_t now);

 private:
  static constexpr size_t kSets = 512, kWays = 8;
  struct alignas(64) Set {
    std::array<std::atomic<uint64_t>, kWays> ways{};  // each a contact in 64 bits; 0: none
  };

  // Where a contact is to be written, if nobody else writes there meanwhile.
  struct Place {
    std::atomic<uint64_t>* way = nullptr;
    uint64_t word = 0;         // what is there
    bool is_followed = false;  // it is a contact of the same client, and is to be followed
  };

  Set& set_of(uint64_t client) { return sets_[client % kSets]; }
  static Place place_for(Set& set, uint64_t client, Slot before, uint32_t now);

  std::array<Set, kSets> sets_{};
};

}  // namespace limpet::routing
