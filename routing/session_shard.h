// For the session table's own files: what one of its locks guards.
#pragma once

#include <array>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "routing/relaxed.h"
#include "routing/session_table.h"

namespace limpet::routing {

// The keys that became dispensable last: where few are, they are found here. An adversary who wants a search
// instead makes as many others first, which costs more than the search.
struct Recent {
  std::array<uint64_t, 8> keys{};  // 0: none
  size_t next = 0;

  void note(uint64_t key) { keys[next++ % keys.size()] = key; }
};

struct alignas(64) SessionTable::Shard {
  mutable std::mutex mutex;
  SessionMap map;
  uint64_t sessions = 0;        // entries that are awake
  uint64_t returned = 0;        // of these
  uint64_t marks = 0;           // of the other entries
  Recent recent;                // unreturned, dormant or aliases
  int64_t moved_into_here = 0;  // sessions that came from other shards, less those that went there
  Books books;

  uint64_t asleep() const { return map.size() - sessions - marks; }  // dormant, or an alias
  uint64_t unreturned() const { return sessions - returned; }
};

struct SessionTable::Locked {
  Shard& shard;
  std::unique_lock<std::mutex> lock;
};

inline SessionTable::Locked SessionTable::lock(uint64_t key) const {
  for (;;) {
    Shard* const shard = place_of(key).load(std::memory_order_acquire);
    std::unique_lock lock(shard->mutex);
    if (place_of(key).load(kRelaxed) == shard) [[likely]]
      return {*shard, std::move(lock)};
  }
}

// Calls use(shard, entry) under the lock of the shard that holds the session which `key` leads to, a ghost or
// not; entry is nullptr where there is none, or none any more.
template <class Use>
auto SessionTable::with_entry(uint64_t key, uint32_t now, Use&& use) {
  // One that is renewed more often than this within the grace has outrun its oldest alias.
  constexpr int kMostHops = 4;
  for (int hop = 0;; ++hop) {
    const Locked locked = lock(key);
    Shard& shard = locked.shard;
    Entry* entry = shard.map.find(key);
    if (entry && entry->kind == Entry::Kind::alias) {
      if (is_stale(*entry, now)) {
        drop(shard, entry);
      } else if (hop < kMostHops && !entry->is_mark()) {
        key = entry->target;
        continue;
      }
      entry = nullptr;
    }
    if (entry && entry->is_awake() && is_idle(*entry, now)) {
      expire(shard, entry);
      entry = shard.map.find(key);
    }
    if (entry && entry->is_ghost() && is_over(*entry, now)) {
      drop(shard, entry);
      entry = nullptr;
    }
    return use(shard, entry);
  }
}

// The same; session is nullptr where there is none that is awake.
template <class Use>
auto SessionTable::with_session(uint64_t key, uint32_t now, Use&& use) {
  return with_entry(key, now, [&](Shard& shard, Entry* entry) {
    return use(shard, entry && entry->is_awake() ? entry : nullptr);
  });
}

// One after another, each under its lock.
template <class Use>
void SessionTable::for_each_shard(Use&& use) const {
  const std::shared_lock grouping(grouping_);
  for_each_grouped(use);
}
template <class Use>
void SessionTable::for_each_grouped(Use&& use) const {
  for (size_t i = 0; i < shard_count_; ++i) {
    const std::lock_guard lock(shards_[i]->mutex);
    use(*shards_[i]);
  }
}

inline SessionView view(const Entry& session) {
  return {.home = session.home,
          .first_seen = session.origin.first_seen,
          .last_seen = session.last_seen,
          .returned = session.returned,
          .polls = session.steady >= kSteadyPolling,
          .booked_at = session.booked_at(),
          .first_home = session.origin.first_home,
          .choice = session.booked_choice()};
}

}  // namespace limpet::routing
