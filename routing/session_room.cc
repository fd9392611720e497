// Room in the session table: who gives way in a full one, and what is swept out of it.
#include <algorithm>
#include <utility>

#include "routing/random.h"
#include "routing/relaxed.h"
#include "routing/seconds.h"
#include "routing/session_shard.h"

namespace limpet::routing {
namespace {

// Evicted is the best of so many candidates: with half of the sessions unreturned, one in 65536 evictions
// hits a returned one.
constexpr int kSampled = 16;

}  // namespace

bool SessionTable::claim_entry() {
  uint64_t taken = entries_.load(kRelaxed);
  while (taken < max_entries_.load(kRelaxed)) {
    if (entries_.compare_exchange_weak(taken, taken + 1, kRelaxed)) return true;
  }
  return false;
}

// Claims an entry for a session that begins in `shard`, whose lock is held; so what gives way in a full table
// is in the same shard.
void SessionTable::make_room(Shard& shard, uint64_t key, uint32_t now) {
  while (!claim_entry()) {
    Entry* const entry = victim(shard, key, now);
    if (!entry) {
      // An empty shard of a full table: one above the bound rather than no session at all.
      entries_.fetch_add(1, kRelaxed);
      return;
    }
    if (entry->is_awake() && !is_idle(*entry, now)) {
      finish(shard, entry, Event::evicted);
    } else {
      make_way(shard, entry);
    }
  }
}

// Who goes first when the table is full: aliases, then what is dormant or has idled out, then unreturned
// sessions, then whatever else; the longest unseen first; among a sample.
Entry* SessionTable::victim(Shard& shard, uint64_t key, uint32_t now) const {
  if (shard.map.size() == 0) return nullptr;
  const auto rank = [&](const Entry& entry) -> std::pair<int, uint32_t> {
    if (entry.is_mark()) return {is_stale(entry, now) ? 3 : 0, elapsed(entry.last_seen, now)};
    const bool is_over = entry.is_ghost() || is_idle(entry, now);
    const int kind = entry.kind == Entry::Kind::alias ? 3 : is_over ? 2 : entry.returned ? 0 : 1;
    return {kind, elapsed(entry.last_seen, now)};
  };
  // Drawn each by itself: a run of neighbours would let places that happen to hold few candidates run out of
  // them.
  Random draws(key);
  Entry* worst = nullptr;
  for (int i = 0; i < kSampled; ++i) {
    size_t place = static_cast<size_t>(draws.below(shard.map.capacity()));
    while (shard.map.at(place).kind == Entry::Kind::none)
      place = place + 1 == shard.map.capacity() ? 0 : place + 1;
    Entry& entry = shard.map.at(place);
    if (!worst || rank(entry) > rank(*worst)) worst = &entry;
  }
  return worst;
}

void SessionTable::sweep(uint32_t now) {
  const size_t slice = std::max<size_t>(shard_count_ / kSweeps, 1);
  for (size_t i = 0; i < slice; ++i) {
    sweep(shards_[next_to_sweep_], now);
    next_to_sweep_ = (next_to_sweep_ + 1) % shard_count_;
  }
}

void SessionTable::sweep(Shard& shard, uint32_t now) {
  const std::lock_guard lock(shard.mutex);
  for (size_t place = 0; place < shard.map.capacity();) {
    Entry& entry = shard.map.at(place);
    entry.last_seen = std::min(entry.last_seen, now);  // after the clock's jump back
    if (entry.is_awake() && is_idle(entry, now)) {
      expire(shard, &entry);  // it is dormant, or another entry may be in its place now
    } else if (entry.is_ghost() ? is_over(entry, now)
                                : entry.kind == Entry::Kind::alias && is_stale(entry, now)) {
      drop(shard, &entry);
    } else {
      ++place;
    }
  }
}

}  // namespace limpet::routing
