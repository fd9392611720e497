#include "routing/fleet.h"

#include "routing/hash.h"
#include "routing/rendezvous.h"

namespace limpet::routing {
namespace {

// Every balancer and the application can work it out from the names alone: the first in rendezvous order of
// the backend's own id.
Slot next_in_order(const Fleet& fleet, Slot of) {
  return rendezvous(fleet.backends[of].id, fleet, [&](Slot slot) { return slot != of; });
}

}  // namespace

const char* text(BackendState state) {
  constexpr const char* kNames[] = {"up", "draining", "down", "maintenance"};
  return kNames[static_cast<size_t>(state)];
}

Fleet Fleet::from(const conf::Pool& pool) {
  Fleet fleet;
  fleet.backends.reserve(pool.backends.size());
  for (const conf::Backend& backend : pool.backends) {
    fleet.backends.push_back({.name = backend.name,
                              .id = backend_id(backend.name),
                              .address = backend.address,
                              .weight = backend.weight,
                              .max_sessions = backend.max_sessions});
  }
  for (size_t i = 0; i < fleet.backends.size(); ++i) {
    const std::string& named = pool.backends[i].backup;
    fleet.backends[i].backup = named.empty() ? next_in_order(fleet, static_cast<Slot>(i)) : fleet.find(named);
  }
  return fleet;
}

Slot Fleet::find(std::string_view name) const {
  for (size_t slot = 0; slot < backends.size(); ++slot) {
    if (backends[slot].name == name) return static_cast<Slot>(slot);
  }
  return kNoSlot;
}

Slot Fleet::find(uint64_t id) const {
  for (size_t slot = 0; slot < backends.size(); ++slot) {
    if (backends[slot].id == id) return static_cast<Slot>(slot);
  }
  return kNoSlot;
}

}  // namespace limpet::routing
