#include "routing/fleet.h"

#include "routing/hash.h"

namespace limpet::routing {

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
  return fleet;
}

Slot Fleet::find(uint64_t id) const {
  for (size_t slot = 0; slot < backends.size(); ++slot) {
    if (backends[slot].id == id) return static_cast<Slot>(slot);
  }
  return kNoSlot;
}

}  // namespace limpet::routing
