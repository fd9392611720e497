#include "routing/session_table.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "routing/random.h"
#include "routing/seconds.h"

namespace limpet::routing {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// Enough shards that workers seldom meet, and that one shard's growth (some thousand entries are copied)
// holds nobody up for long; and so many entries in each shard of a full table that every one has its fair mix
// of candidates for eviction.
constexpr uint64_t kMostShards = 256, kEntriesPerShard = 512;

// A session that is renewed more often than this within the grace has outrun its oldest alias.
constexpr int kMostHops = 4;

// Evicted is the best of so many candidates: with half of the sessions unreturned, one in 65536 evictions
// hits a returned one.
constexpr int kSampled = 16;

size_t shards_for(uint64_t max_sessions) {
  return static_cast<size_t>(
      std::clamp<uint64_t>(std::bit_floor(max_sessions / kEntriesPerShard), 1, kMostShards));
}

}  // namespace

Tally& Tally::operator+=(const Tally& other) {
  for (const auto count : {&Tally::opened, &Tally::restored, &Tally::expired, &Tally::logged_out,
                           &Tally::unbound, &Tally::evicted, &Tally::moved, &Tally::renewed}) {
    this->*count += other.*count;
  }
  return *this;
}

struct alignas(64) SessionTable::Shard {
  mutable std::mutex mutex;
  SessionMap map;
  uint64_t sessions = 0;          // entries that are no aliases
  int64_t renewed_into_here = 0;  // sessions that renew() brought from other shards, less those it took away
  Tally tally;
};

SessionTable::SessionTable(uint64_t max_sessions, Timeouts timeouts)
    : max_entries_(std::max<uint64_t>(max_sessions, 1)),
      timeouts_(timeouts),
      shard_count_(shards_for(max_sessions)),
      shards_(std::make_unique<Shard[]>(shard_count_)) {}

SessionTable::~SessionTable() = default;

// A map places its entries by the high bits of the key, so shards go by the low ones.
SessionTable::Shard& SessionTable::shard_of(uint64_t key) const { return shards_[key & (shard_count_ - 1)]; }

bool SessionTable::is_idle(const Entry& session, uint32_t now) const {
  return elapsed(session.last_seen, now) > (session.returned ? timeouts_.idle : timeouts_.unreturned);
}

// --- Places at a home ---

bool SessionTable::reserve(Slot home, uint32_t limit) {
  std::atomic<uint32_t>& load = homes_[home].load;
  if (load.fetch_add(1, kRelaxed) < limit || limit == 0) return true;
  load.fetch_sub(1, kRelaxed);
  return false;
}

void SessionTable::release(Slot home) { homes_[home].load.fetch_sub(1, kRelaxed); }
uint32_t SessionTable::load(Slot home) const { return homes_[home].load.load(kRelaxed); }
uint32_t SessionTable::live(Slot home) const { return homes_[home].live.load(kRelaxed); }

// --- Finding ---

// Calls use(shard, session) under the lock of the shard that holds the session which `key` leads to; session
// is nullptr where there is none, or none any more.
template <class Use>
auto SessionTable::with_session(uint64_t key, uint32_t now, Use&& use) {
  for (int hop = 0;; ++hop) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    Entry* entry = shard.map.find(key);
    if (entry && entry->kind == Entry::Kind::alias) {
      if (elapsed(entry->last_seen, now) > kRenewalGrace) {
        forget_alias(shard, entry);
      } else if (hop < kMostHops) {
        key = entry->target;
        continue;
      }
      entry = nullptr;
    }
    if (entry && is_idle(*entry, now)) {
      finish(shard, entry, &Tally::expired);
      entry = nullptr;
    }
    return use(shard, entry);
  }
}

Slot SessionTable::find(uint64_t key, uint32_t now) {
  return with_session(key, now, [](Shard&, Entry* session) { return session ? session->home : kNoSlot; });
}

Slot SessionTable::find_and_touch(uint64_t key, uint32_t now, Visit visit) {
  return with_session(key, now, [&](Shard&, Entry* session) {
    if (!session) return kNoSlot;
    session->last_seen = now;
    if (visit == Visit::first) session->returned = true;
    return session->home;
  });
}

// --- Beginning ---

SessionTable::Held SessionTable::open(uint64_t key, Slot home, uint32_t now, Room room) {
  return begin(key, home, now, room, &Tally::opened);
}

SessionTable::Held SessionTable::restore(uint64_t key, Slot home, uint32_t now, Room room) {
  return begin(key, home, now, room, &Tally::restored);
}

SessionTable::Held SessionTable::begin(uint64_t key, Slot home, uint32_t now, Room room,
                                       uint64_t Tally::*how) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  if (Entry* known = shard.map.find(key)) {
    if (known->kind == Entry::Kind::alias) {
      forget_alias(shard, known);
    } else if (is_idle(*known, now)) {
      finish(shard, known, &Tally::expired);
    } else {
      known->last_seen = now;
      return {known->home, false};
    }
  }
  make_room(shard, key, now);
  Entry session;
  session.kind = Entry::Kind::session;
  session.key = key;
  session.first_seen = session.last_seen = now;
  session.home = home;
  session.returned = how == &Tally::restored;  // it came with a token, so it came back
  shard.map.insert(session);
  ++shard.sessions;
  ++(shard.tally.*how);
  HomeCount& count = homes_[home];
  count.live.fetch_add(1, kRelaxed);
  if (room == Room::none) count.load.fetch_add(1, kRelaxed);
  return {home, true};
}

// --- Living on ---

SessionTable::Held SessionTable::move(uint64_t key, Slot from, Slot to, uint32_t now) {
  return with_session(key, now, [&](Shard& shard, Entry* session) -> Held {
    if (!session) return {};
    if (session->home != from) return {session->home, false};
    session->home = to;
    ++shard.tally.moved;
    homes_[from].live.fetch_sub(1, kRelaxed);
    homes_[from].load.fetch_sub(1, kRelaxed);
    homes_[to].live.fetch_add(1, kRelaxed);
    return {to, true};
  });
}

bool SessionTable::renew(uint64_t from, uint64_t to, Slot home, uint32_t now) {
  Shard& old_shard = shard_of(from);
  Shard& new_shard = shard_of(to);
  const auto [first, second] = std::minmax({&old_shard, &new_shard});
  const std::lock_guard lock_first(first->mutex);
  std::optional<std::lock_guard<std::mutex>> lock_second;
  if (second != first) lock_second.emplace(second->mutex);

  Entry* known = new_shard.map.find(to);
  if (known && known->kind == Entry::Kind::session && !is_idle(*known, now)) return false;
  Entry* old = old_shard.map.find(from);
  if (!old || old->kind != Entry::Kind::session || old->home != home || is_idle(*old, now)) return false;

  Entry session = *old;
  session.key = to;
  session.last_seen = now;
  if (known) {
    if (known->kind == Entry::Kind::alias) {
      forget_alias(new_shard, known);
    } else {
      finish(new_shard, known, &Tally::expired);
    }
    old = old_shard.map.find(from);  // what was erased may have shifted it
  }
  if (claim_entry()) {
    old->kind = Entry::Kind::alias;
    old->target = to;
    old->last_seen = now;
  } else {
    old_shard.map.erase(old);
  }
  new_shard.map.insert(session);
  --old_shard.sessions;
  ++new_shard.sessions;
  --old_shard.renewed_into_here;
  ++new_shard.renewed_into_here;
  ++new_shard.tally.renewed;
  return true;
}

// --- Ending ---

bool SessionTable::end(uint64_t key, End how, uint32_t now) {
  return with_session(key, now, [&](Shard& shard, Entry* session) {
    if (session) finish(shard, session, how == End::logged_out ? &Tally::logged_out : &Tally::unbound);
    return session != nullptr;
  });
}

void SessionTable::finish(Shard& shard, Entry* session, uint64_t Tally::*how) {
  HomeCount& count = homes_[session->home];
  count.live.fetch_sub(1, kRelaxed);
  count.load.fetch_sub(1, kRelaxed);
  --shard.sessions;
  ++(shard.tally.*how);
  shard.map.erase(session);
  entries_.fetch_sub(1, kRelaxed);
}

void SessionTable::forget_alias(Shard& shard, Entry* alias) {
  shard.map.erase(alias);
  entries_.fetch_sub(1, kRelaxed);
}

bool SessionTable::claim_entry() {
  uint64_t taken = entries_.load(kRelaxed);
  while (taken < max_entries_) {
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
    if (entry->kind == Entry::Kind::alias) {
      forget_alias(shard, entry);
    } else {
      finish(shard, entry, is_idle(*entry, now) ? &Tally::expired : &Tally::evicted);
    }
  }
}

// Who goes first when the table is full: aliases, then what has idled out already, then unreturned sessions,
// then whatever else; the longest unseen first; among a sample.
Entry* SessionTable::victim(Shard& shard, uint64_t key, uint32_t now) const {
  if (shard.map.size() == 0) return nullptr;
  const auto rank = [&](const Entry& entry) -> std::pair<int, uint32_t> {
    const int kind = entry.kind == Entry::Kind::alias ? 3 : is_idle(entry, now) ? 2 : entry.returned ? 0 : 1;
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
    if (entry.kind == Entry::Kind::session && is_idle(entry, now)) {
      finish(shard, &entry, &Tally::expired);  // another entry may be in its place now
    } else if (entry.kind == Entry::Kind::alias && elapsed(entry.last_seen, now) > kRenewalGrace) {
      forget_alias(shard, &entry);
    } else {
      ++place;
    }
  }
}

Census SessionTable::census() const {
  Census census;
  for (size_t i = 0; i < shard_count_; ++i) {
    const Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    census.tally += shard.tally;
    census.live += shard.sessions;
    census.imbalance += static_cast<int64_t>(shard.tally.begun()) + shard.renewed_into_here -
                        static_cast<int64_t>(shard.tally.ended() + shard.sessions);
    census.entries += shard.map.size();
    census.bytes += sizeof(Shard) + shard.map.capacity() * sizeof(Entry);
  }
  return census;
}

}  // namespace limpet::routing
