// For the session table's own files: what one of its locks guards.
#pragma once

#include <array>
#include <mutex>

#include "routing/session_table.h"

namespace limpet::routing {

struct alignas(64) SessionTable::Shard {
  mutable std::mutex mutex;
  SessionMap map;
  uint64_t sessions = 0;          // entries that are no aliases
  uint64_t returned = 0;          // of these
  int64_t renewed_into_here = 0;  // sessions that renew() brought from other shards, less those it took away
  Books books;
  std::array<uint32_t, PauseCounts::kCodes> pauses{};
};

// One after another, each under its lock.
template <class Use>
void SessionTable::for_each_shard(Use&& use) const {
  for (size_t i = 0; i < shard_count_; ++i) {
    const std::lock_guard lock(shards_[i].mutex);
    use(shards_[i]);
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
