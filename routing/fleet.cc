#include "routing/fleet.h"

#include <algorithm>

#include "routing/hash.h"

namespace limpet::routing {
namespace {

// A fleet of so many is looked through as fast as searched.
constexpr size_t kScanned = 16;

}  // namespace

const char* text(BackendState state) {
  constexpr const char* kNames[] = {"up", "draining", "down", "maintenance"};
  return kNames[static_cast<size_t>(state)];
}

const char* predicate(BackendState state) {
  return state == BackendState::maintenance ? "in maintenance" : text(state);
}

Fleet Fleet::from(const conf::Pool& pool, const Fleet& before, std::span<const Slot> reusable) {
  Fleet fleet = before;
  for (Backend& backend : fleet.backends) backend.listed = false;
  std::vector<Slot> slots;  // of the pool's backends
  for (const conf::Backend& said : pool.backends) {
    Slot slot = before.find(said.name);
    if (slot == kNoSlot) {
      if (reusable.empty()) {
        slot = static_cast<Slot>(fleet.backends.size());
        fleet.backends.emplace_back();
      } else {
        slot = reusable.front();
        reusable = reusable.subspan(1);
      }
      fleet.backends[slot] = {.name = said.name, .id = backend_id(said.name)};
    }
    Backend& backend = fleet.backends[slot];
    backend.address = said.address;
    backend.weight = said.weight;
    backend.max_sessions = said.max_sessions;
    backend.max_connections = said.max_connections;
    backend.listed = true;
    slots.push_back(slot);
  }
  fleet.index();
  if (pool.storage != conf::Storage::backup) {
    for (Backend& backend : fleet.backends) backend.backup = kNoSlot;
    return fleet;
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    const std::string& named = pool.backends[i].backup;
    fleet.backends[slots[i]].backup = named.empty() ? kNoSlot : fleet.find(named);
  }
  return fleet;
}

void Fleet::free(std::span<const Slot> slots) {
  for (const Slot slot : slots) backends[slot] = {.state = BackendState::maintenance, .listed = false};
  for (Backend& backend : backends) {
    if (backend.backup < backends.size() && backends[backend.backup].is_free()) backend.backup = kGoneSlot;
  }
  index();
}

void Fleet::index() {
  places_.clear();
  if (backends.size() <= kScanned) return;
  for (size_t slot = 0; slot < backends.size(); ++slot) {
    if (!backends[slot].is_free()) places_.push_back({backends[slot].id, static_cast<Slot>(slot)});
  }
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return a.id < b.id; });
}

Slot Fleet::find(std::string_view name) const {
  const Slot slot = find(backend_id(name));
  return slot != kNoSlot && backends[slot].name == name ? slot : kNoSlot;
}

Slot Fleet::find(uint64_t id) const {
  if (!places_.empty()) {
    const auto place = std::lower_bound(places_.begin(), places_.end(), id,
                                        [](const Place& one, uint64_t wanted) { return one.id < wanted; });
    return place != places_.end() && place->id == id ? place->slot : kNoSlot;
  }
  for (size_t slot = 0; slot < backends.size(); ++slot) {
    if (backends[slot].id == id && !backends[slot].is_free()) return static_cast<Slot>(slot);
  }
  return kNoSlot;
}

}  // namespace limpet::routing
