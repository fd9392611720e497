// Room in the session table: who gives way in a full one, and what is swept out of it.
#include <algorithm>
#include <array>
#include <functional>

#include "routing/random.h"
#include "routing/relaxed.h"
#include "routing/seconds.h"
#include "routing/session_shard.h"

namespace limpet::routing {
namespace {

// Evicted is the best of so many candidates, where any is of the class that is to go.
constexpr int kSampled = 16;

// Where one place in so many holds an entry of that class, or more do, one is found by going from place to
// place in less than a microsecond.
constexpr uint64_t kShortWalk = 256;

// After the bound was lowered: so many are evicted under one lock of a shard, a tenth of a millisecond; and
// to look at so many places takes as long as to evict one entry.
constexpr size_t kEvictedAtOnce = 512, kSeenAsEvicted = 8;

}  // namespace

bool SessionTable::claim_entry() {
  uint64_t taken = entries_.load(kRelaxed);
  while (taken < max_entries_.load(kRelaxed)) {
    if (entries_.compare_exchange_weak(taken, taken + 1, kRelaxed)) return true;
  }
  return false;
}

// Gives back one of the entries that are above the bound. False: none is.
bool SessionTable::release_entry() {
  uint64_t taken = entries_.load(kRelaxed);
  while (taken > max_entries_.load(kRelaxed)) {
    if (entries_.compare_exchange_weak(taken, taken - 1, kRelaxed)) return true;
  }
  return false;
}

// Claims an entry for a session that begins in `shard`, whose lock is held; so who gives way in a full table
// is in the same shard. After the bound was lowered two give way, if the second is dispensable; the rest is
// done by sweep(), which sees all shards.
void SessionTable::make_room(Shard& shard, uint64_t key, uint32_t now) {
  if (claim_entry()) return;
  Entry* const first = victim(shard, key, now);
  if (!first) {
    // An empty shard of a full table: one above the bound rather than no session at all.
    entries_.fetch_add(1, kRelaxed);
    return;
  }
  evict(shard, first, now);  // its entry is the new session's
  if (!release_entry()) return;
  Entry* const second = victim(shard, key, now);
  if (second && rank(*second, now).first != Class::kept) {
    evict(shard, second, now);
  } else {
    entries_.fetch_add(1, kRelaxed);
  }
}

// What becomes of its claim is the caller's business.
void SessionTable::evict(Shard& shard, Entry* entry, uint32_t now) {
  if (entry->is_awake()) leave(shard, *entry, is_idle(*entry, now) ? ending(*entry) : Event::evicted);
  erase(shard, entry);
}

// Marks are kept like sessions that have returned until they are stale.
SessionTable::Rank SessionTable::rank(const Entry& entry, uint32_t now) const {
  const bool is_over = entry.is_awake() ? is_idle(entry, now) : entry.is_mark() ? is_stale(entry, now) : true;
  const Class its = is_over                               ? Class::asleep
                    : entry.returned || !entry.is_awake() ? Class::kept
                                                          : Class::unreturned;
  return {its, elapsed(entry.last_seen, now)};
}

// Who gives way in a full table: dormant sessions and aliases, then unreturned sessions, then whatever else.
// Which class is left is exact; within it goes who is longest unseen among a sample, or, where that has none
// of the class, any one. Nobody makes others search for long: an entry that is far to seek, and was not among
// the last of its kind, cost whoever made it so several requests, and is gone once it is found.
Entry* SessionTable::victim(Shard& shard, uint64_t key, uint32_t now) const {
  SessionMap& map = shard.map;
  if (map.size() == 0) return nullptr;
  const auto after = [&](size_t place) { return place + 1 == map.capacity() ? 0 : place + 1; };
  // Drawn each by itself: a run of neighbours would let places that happen to hold few candidates run out of
  // them.
  Random draws(key);
  std::array<size_t, kSampled> sample;
  for (size_t& place : sample) {
    place = static_cast<size_t>(draws.below(map.capacity()));
    __builtin_prefetch(&map.at(place));
  }
  Entry* worst = nullptr;
  Rank of_worst;
  for (size_t place : sample) {
    while (map.at(place).kind == Entry::Kind::none) place = after(place);
    const Rank its = rank(map.at(place), now);
    if (worst && its <= of_worst) continue;
    worst = &map.at(place);
    of_worst = its;
  }

  const uint64_t asleep = shard.asleep(), unreturned = shard.unreturned();
  const Class least = asleep != 0 ? Class::asleep : unreturned != 0 ? Class::unreturned : Class::kept;
  if (of_worst.first >= least) return worst;
  const uint64_t left = asleep != 0 ? asleep : unreturned;
  if (left * kShortWalk < map.capacity()) {
    if (Entry* const recent = recent_victim(shard, least, now)) return recent;
  }
  if (left == 0) return worst;
  const auto is_wanted = [least](const Entry& entry) {
    if (least == Class::unreturned) return entry.is_awake() && !entry.returned;
    return entry.is_ghost() || (entry.kind == Entry::Kind::alias && !entry.is_mark());
  };
  auto place = static_cast<size_t>(draws.below(map.capacity()));
  for (size_t walked = 0; walked < map.capacity(); ++walked, place = after(place)) {
    if (is_wanted(map.at(place))) return &map.at(place);
  }
  return worst;
}

Entry* SessionTable::recent_victim(Shard& shard, Class least, uint32_t now) const {
  Entry* worst = nullptr;
  Rank of_worst;
  for (uint64_t& key : shard.recent.keys) {
    Entry* const entry = key != 0 ? shard.map.find(key) : nullptr;
    const Rank its = entry ? rank(*entry, now) : Rank();
    if (its.first == Class::kept) {
      key = 0;
    } else if (its.first >= least && (!worst || its > of_worst)) {
      worst = entry;
      of_worst = its;
    }
  }
  return worst;
}

void SessionTable::sweep(uint32_t now) {
  if (!is_well_grouped() && entries_.load(kRelaxed) <= max_entries_.load(kRelaxed)) regroup();
  const std::shared_lock grouping(grouping_);
  const size_t slice = std::max<size_t>(shard_count_ / kSweeps, 1);
  for (size_t i = 0; i < slice; ++i) {
    Shard& shard = *shards_[next_to_sweep_];
    next_to_sweep_ = (next_to_sweep_ + 1) % shard_count_;
    const std::lock_guard lock(shard.mutex);
    sweep(shard, now);
    if (!is_above_bound()) shard.map.fit();
  }
  trim_some(now);
}

void SessionTable::sweep(Shard& shard, uint32_t now) {
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

bool SessionTable::is_above_bound() const { return entries_.load(kRelaxed) > max_entries_.load(kRelaxed); }

void SessionTable::trim(uint32_t now) {
  if (!is_above_bound()) return;
  const std::shared_lock grouping(grouping_);
  trim_some(now);
}

// After the bound was lowered: in bounded steps, of some shards by turns, so that whoever waits for the lock
// of one has it before the next step there.
void SessionTable::trim_some(uint32_t now) {
  size_t at = 0;
  for (size_t work = 0; work < kTrimmedAtOnce && is_above_bound(); at = (at + 1) % trim_.dooms.size()) {
    Doom& doom = trim_.dooms[at];
    if (doom.doomed.empty()) {
      const auto is_done = [](const Doom& its) { return its.doomed.empty(); };
      if (trim_.shards_left == 0 && std::ranges::all_of(trim_.dooms, is_done)) plan_trim();
      if (trim_.shards_left == 0) continue;
      doom.shard = shards_[--trim_.shards_left].get();
      work += 1 + choose_doomed(doom, now) / kSeenAsEvicted;
    }
    work += evict_doomed(doom, now);
  }
  if (!is_above_bound()) trim_ = {};
}

// After the bound was lowered: which part of each class has to go, the same in every shard.
void SessionTable::plan_trim() {
  std::array<uint64_t, kClasses> entries{};
  for_each_grouped([&](const Shard& shard) {
    entries[static_cast<size_t>(Class::asleep)] += shard.asleep();
    entries[static_cast<size_t>(Class::unreturned)] += shard.unreturned();
    entries[static_cast<size_t>(Class::kept)] += shard.returned + shard.marks;
  });
  const uint64_t taken = entries_.load(kRelaxed), most = max_entries_.load(kRelaxed);
  uint64_t excess = taken > most ? taken - most : 0;
  for (size_t its = kClasses; its-- > 0;) {
    const uint64_t go = std::min(excess, entries[its]);
    trim_.parts[its] = go == 0 ? 0 : static_cast<double>(go) / static_cast<double>(entries[its]);
    excess -= go;
  }
  trim_.owed = 0;
  trim_.shards_left = shard_count_;
}

// By class, and of the last class that has to go those who are longest unseen. Returned is how many places
// were looked at.
size_t SessionTable::choose_doomed(Doom& doom, uint32_t now) {
  Shard& shard = *doom.shard;
  std::vector<Doomed>& doomed = doom.doomed;
  std::array<uint64_t, kClasses> entries{};
  size_t places = 0;
  {
    const std::lock_guard lock(shard.mutex);
    places = shard.map.capacity();
    doomed.reserve(shard.map.size());
    for (size_t place = 0; place < places; ++place) {
      const Entry& entry = shard.map.at(place);
      if (entry.kind == Entry::Kind::none) continue;
      doomed.push_back({rank(entry, now), entry.key});
      ++entries[static_cast<size_t>(doomed.back().rank.first)];
    }
  }
  double owed = trim_.owed;
  for (size_t its = 0; its < kClasses; ++its) owed += static_cast<double>(entries[its]) * trim_.parts[its];
  auto go = static_cast<size_t>(owed + 1e-6);
  trim_.owed = owed - static_cast<double>(go);
  go = std::min(go, doomed.size());
  const auto last = doomed.begin() + static_cast<ptrdiff_t>(go);
  std::nth_element(doomed.begin(), last, doomed.end(),
                   [](const Doomed& one, const Doomed& other) { return one.rank > other.rank; });
  doomed.erase(last, doomed.end());
  const auto is_kept = [](const Doomed& it) { return it.rank.first == Class::kept; };
  const auto is_unreturned = [](const Doomed& it) { return it.rank.first == Class::unreturned; };
  std::partition(std::partition(doomed.begin(), doomed.end(), is_kept), doomed.end(), is_unreturned);
  return places;
}

// Some of them, but none that has been seen since. Returned is how many were looked at.
size_t SessionTable::evict_doomed(Doom& doom, uint32_t now) {
  Shard& shard = *doom.shard;
  const std::lock_guard lock(shard.mutex);
  size_t seen = 0;
  for (; seen < kEvictedAtOnce && !doom.doomed.empty(); ++seen) {
    const Doomed next = doom.doomed.back();
    doom.doomed.pop_back();
    Entry* const entry = shard.map.find(next.key);
    if (!entry || rank(*entry, now) < next.rank) continue;
    if (!release_entry()) break;
    evict(shard, entry, now);
  }
  if (doom.doomed.empty()) shard.map.fit();
  return seen;
}

}  // namespace limpet::routing
