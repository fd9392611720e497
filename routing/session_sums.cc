// What is told of the session table as a whole, a shard at a time.
#include <algorithm>

#include "routing/relaxed.h"
#include "routing/session_shard.h"

namespace limpet::routing {
namespace {

// Where in a list each of its slots stands.
class Places {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  explicit Places(std::span<const Slot> list) {
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i] >= places_.size()) places_.resize(list[i] + size_t{1}, kNone);
      places_[list[i]] = i;
    }
  }
  size_t operator[](Slot slot) const { return slot < places_.size() ? places_[slot] : kNone; }

 private:
  std::vector<size_t> places_;  // by slot
};

}  // namespace

Census SessionTable::census() const {
  Census census;
  census.bytes = sizeof(SessionTable);
  for_each_shard([&](const Shard& shard) {
    census.books += shard.books;
    census.live += shard.sessions;
    census.live_returned += shard.returned;
    census.imbalance += static_cast<int64_t>(shard.books.all.begun()) + shard.moved_into_here -
                        static_cast<int64_t>(shard.books.all.ended() + shard.sessions);
    census.entries += shard.map.size();
    ++census.shards;
    census.bytes += sizeof(Shard) + shard.map.capacity() * sizeof(Entry);
  });
  const Homes::Sum homes = homes_.sum();
  census.at_risk = std::min(homes.at_risk, census.live);  // the homes are counted a moment later
  census.at_risk_returned = std::min(homes.at_risk_returned, census.live_returned);
  return census;
}

PauseCounts SessionTable::pauses() const {
  PauseCounts pauses;
  for (const Pauses& some : pauses_) {
    for (size_t code = 0; code < PauseCounts::kCodes; ++code)
      pauses.counts[code] += some.counts[code].load(kRelaxed);
  }
  return pauses;
}

std::vector<std::vector<SessionView>> SessionTable::sessions_at(std::span<const Slot> homes) const {
  const Places places(homes);
  std::vector<std::vector<SessionView>> sessions(homes.size());
  for_each_shard([&](Shard& shard) {
    for (size_t at = 0; at < shard.map.capacity(); ++at) {
      const Entry& entry = shard.map.at(at);
      const size_t place = entry.is_awake() ? places[entry.home] : Places::kNone;
      if (place != Places::kNone) sessions[place].push_back(view(entry));
    }
  });
  return sessions;
}

void SessionTable::forget(std::span<const Slot> homes) {
  const Places places(homes);
  for_each_shard([&](Shard& shard) {
    for (size_t at = 0; at < shard.map.capacity();) {
      Entry& entry = shard.map.at(at);
      const bool was_there =
          places[entry.home] != Places::kNone || places[entry.data_home()] != Places::kNone;
      if (entry.kind == Entry::Kind::session && entry.is_ghost() && was_there) {
        drop(shard, &entry);  // another entry may be in its place now
        continue;
      }
      const bool is_session = entry.kind == Entry::Kind::session;
      if (is_session && places[entry.origin.first_home] != Places::kNone)
        entry.origin.first_home = entry.home;
      ++at;
    }
  });
}

}  // namespace limpet::routing
