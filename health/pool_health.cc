#include "health/pool_health.h"

#include <algorithm>
#include <utility>

#include "routing/hash.h"

namespace limpet::health {
namespace {

void add(std::vector<SlotChange>& changes, size_t slot, Changed change) {
  if (change) changes.push_back({static_cast<Slot>(slot), *std::move(change)});
}

}  // namespace

PoolHealth::PoolHealth(const conf::Pool& pool, const routing::Fleet& fleet, Millis now, uint64_t seed)
    : seed_(seed), served_since_(now) {
  reconfigure(pool, fleet, now);
}

std::vector<SlotChange> PoolHealth::reconfigure(const conf::Pool& pool, const routing::Fleet& fleet,
                                                Millis now) {
  std::vector<SlotChange> changes;
  const bool begins = judges_.empty();
  max_down_percent_ = pool.passive.max_down_percent;
  std::vector<const conf::Backend*> named(fleet.backends.size());  // by slot
  for (const conf::Backend& backend : pool.backends) named[fleet.find(backend.name)] = &backend;
  for (size_t slot = 0; slot < fleet.backends.size(); ++slot) {
    const conf::Backend* const backend = named[slot];
    const bool is_new = slot >= judges_.size() || ids_[slot] != fleet.backends[slot].id;
    if (backend != nullptr && is_new) {
      Judge judge(Rules::from(pool, *backend), now, routing::mixed(seed_ + slot));
      if (!begins) judge.join(now, served_since_);
      if (slot == judges_.size()) {
        judges_.push_back(std::move(judge));
      } else {
        judges_[slot] = std::move(judge);
      }
      ids_.resize(judges_.size());
      ids_[slot] = fleet.backends[slot].id;
    } else if (backend != nullptr) {
      judges_[slot].reconfigure(Rules::from(pool, *backend), now);
    }
    if (ids_[slot] == 0) continue;
    add(changes, slot, backend ? judges_[slot].unremove(now) : judges_[slot].remove(now));
  }
  return changes;
}

void PoolHealth::free(std::span<const Slot> slots) {
  for (const Slot slot : slots) ids_[slot] = 0;
}

std::vector<SlotChange> PoolHealth::remove_all(Millis now) {
  std::vector<SlotChange> changes;
  for (size_t slot = 0; slot < judges_.size(); ++slot) add(changes, slot, judges_[slot].remove(now));
  return changes;
}

Changed PoolHealth::checked(Slot slot, const CheckResult& result, Millis now) {
  return judges_[slot].checked(result, may_go_down(slot), now);
}

Judge::Answer PoolHealth::order(Slot slot, Order order, const std::string& who, Millis now) {
  return judges_[slot].order(order, who, now);
}

std::vector<SlotChange> PoolHealth::tick(std::span<const uint32_t> sessions, Millis now) {
  std::vector<SlotChange> changes;
  for (size_t slot = 0; slot < judges_.size(); ++slot) {
    if (ids_[slot] != 0) add(changes, slot, judges_[slot].tick(sessions[slot], now));
  }
  return changes;
}

std::vector<Slot> PoolHealth::take_due(Millis now) {
  std::vector<Slot> due;
  for (size_t slot = 0; slot < judges_.size(); ++slot) {
    if (take_due(static_cast<Slot>(slot), now)) due.push_back(static_cast<Slot>(slot));
  }
  return due;
}

bool PoolHealth::take_due(Slot slot, Millis now) {
  const auto at = ids_[slot] != 0 ? judges_[slot].next_check() : std::nullopt;
  if (!at || *at > now) return false;
  judges_[slot].check_begins(now);
  return true;
}

bool PoolHealth::put_into(routing::Fleet& fleet, Millis now) const {
  bool changed = false;
  for (size_t slot = 0; slot < judges_.size(); ++slot)
    changed = put_into(fleet, static_cast<Slot>(slot), now) || changed;
  return changed;
}

bool PoolHealth::put_into(routing::Fleet& fleet, Slot slot, Millis now) const {
  if (ids_[slot] == 0) return false;
  routing::Backend& backend = fleet.backends[slot];
  const BackendState state = std::exchange(backend.state, judges_[slot].state());
  const uint32_t warmth = std::exchange(backend.warmth, judges_[slot].warmth(now));
  return state != backend.state || warmth != backend.warmth;
}

size_t PoolHealth::listed() const {
  return static_cast<size_t>(
      std::count_if(judges_.begin(), judges_.end(), [](const Judge& judge) { return !judge.is_removed(); }));
}

size_t PoolHealth::down_on_weak_evidence() const {
  return static_cast<size_t>(std::count_if(judges_.begin(), judges_.end(), [](const Judge& judge) {
    return !judge.is_removed() && judge.is_down_on_weak_evidence();
  }));
}

size_t PoolHealth::held() const {
  return static_cast<size_t>(
      std::count_if(judges_.begin(), judges_.end(), [](const Judge& judge) { return judge.is_held(); }));
}

// What has left the file does not count, and is not held either: the pool does not rely on it.
bool PoolHealth::may_go_down(Slot slot) const {
  return judges_[slot].is_removed() || (down_on_weak_evidence() + 1) * 100 <= max_down_percent_ * listed();
}

}  // namespace limpet::health
