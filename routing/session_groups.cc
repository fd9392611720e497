// How many shards the session table has. More and fewer of them come about one at a time, while threads are
// at work on the others; only whoever looks at all of them waits.
#include <algorithm>
#include <bit>
#include <utility>

#include "routing/relaxed.h"
#include "routing/session_shard.h"

namespace limpet::routing {
namespace {

// Enough shards that workers seldom meet, and that one shard's growth (some thousand entries are copied)
// holds nobody up for long; and so many entries in each shard of a full table that every one has its fair mix
// of candidates for eviction.
constexpr uint64_t kEntriesPerShard = 512;

size_t shards_for(uint64_t max_sessions, size_t most) {
  return static_cast<size_t>(std::clamp<uint64_t>(std::bit_floor(max_sessions / kEntriesPerShard), 1, most));
}

}  // namespace

bool SessionTable::is_well_grouped() const {
  const std::shared_lock grouping(grouping_);
  return shard_count_ == shards_for(max_entries_.load(kRelaxed), kMostShards);
}

// More shards at once, fewer when so few entries are left that it takes no longer.
void SessionTable::regroup() {
  const std::lock_guard grouping(grouping_);
  const size_t wanted = shards_for(max_entries_.load(kRelaxed), kMostShards);
  if (wanted == shard_count_) return;
  while (shard_count_ < wanted) split();
  if (entries_.load(kRelaxed) <= max_entries_.load(kRelaxed)) {
    while (shard_count_ > wanted) merge();
  }
  next_to_sweep_ = 0;
  trim_ = {};
}

// Each shard gives those of its entries to another one whose keys have the next bit.
void SessionTable::split() {
  for (size_t i = 0; i < shard_count_; ++i) {
    auto& other = shards_[i + shard_count_];
    if (!other) other = std::make_unique<Shard>();
    Shard &from = *shards_[i], &to = *other;
    const std::scoped_lock locks(from.mutex, to.mutex);
    SessionMap left;
    for (size_t place = 0; place < from.map.capacity(); ++place) {
      const Entry& entry = from.map.at(place);
      if (entry.kind == Entry::Kind::none) continue;
      if ((entry.key & shard_count_) == 0) {
        left.insert(entry);
        continue;
      }
      to.map.insert(entry);
      to.sessions += entry.is_awake();
      to.returned += entry.is_awake() && entry.returned;
      to.marks += entry.is_mark();
    }
    from.map = std::move(left);
    from.sessions -= to.sessions;
    from.returned -= to.returned;
    from.marks -= to.marks;
    from.moved_into_here -= static_cast<int64_t>(to.sessions);
    to.moved_into_here += static_cast<int64_t>(to.sessions);
    lead(i + shard_count_, to);
  }
  shard_count_ *= 2;
}

// The reverse.
void SessionTable::merge() {
  shard_count_ /= 2;
  for (size_t i = 0; i < shard_count_; ++i) {
    Shard &from = *shards_[i + shard_count_], &to = *shards_[i];
    const std::scoped_lock locks(from.mutex, to.mutex);
    for (size_t place = 0; place < from.map.capacity(); ++place) {
      const Entry& entry = from.map.at(place);
      if (entry.kind != Entry::Kind::none) to.map.insert(entry);
    }
    from.map = {};
    to.sessions += std::exchange(from.sessions, 0);
    to.returned += std::exchange(from.returned, 0);
    to.marks += std::exchange(from.marks, 0);
    to.moved_into_here += std::exchange(from.moved_into_here, 0);
    to.books += std::exchange(from.books, {});
    lead(i + shard_count_, to);
  }
}

// To `shard` where keys end like `index`, among twice as many shards as there are.
void SessionTable::lead(size_t index, Shard& shard) {
  for (size_t i = index; i < kMostShards; i += 2 * shard_count_)
    directory_[i].store(&shard, std::memory_order_release);
}

}  // namespace limpet::routing
