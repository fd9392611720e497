#include "routing/fleet.h"

#include "routing/hash.h"
#include "routing/rendezvous.h"

namespace limpet::routing {
namespace {

// Every balancer and the application can work it out from the names alone: the first of the others in the
// unweighted rendezvous order of the backend's own id.
Slot next_in_order(const Fleet& fleet, Slot of) {
  Slot best = kNoSlot;
  double best_score = 0;
  for (size_t i = 0; i < fleet.backends.size(); ++i) {
    const Backend& other = fleet.backends[i];
    if (i == of || !other.listed) continue;
    const double score = rendezvous_score(fleet.backends[of].id, other.id, 1);
    if (score <= best_score) continue;
    best = static_cast<Slot>(i);
    best_score = score;
  }
  return best;
}

}  // namespace

const char* text(BackendState state) {
  constexpr const char* kNames[] = {"up", "draining", "down", "maintenance"};
  return kNames[static_cast<size_t>(state)];
}

const char* predicate(BackendState state) {
  return state == BackendState::maintenance ? "in maintenance" : text(state);
}

Fleet Fleet::from(const conf::Pool& pool, const Fleet& before) {
  Fleet fleet = before;
  for (Backend& backend : fleet.backends) backend.listed = false;
  std::vector<Slot> slots;  // of the pool's backends
  for (const conf::Backend& said : pool.backends) {
    Slot slot = fleet.find(said.name);
    if (slot == kNoSlot) {
      slot = static_cast<Slot>(fleet.backends.size());
      Backend& added = fleet.backends.emplace_back();
      added.name = said.name;
      added.id = backend_id(said.name);
    }
    Backend& backend = fleet.backends[slot];
    backend.address = said.address;
    backend.weight = said.weight;
    backend.max_sessions = said.max_sessions;
    backend.listed = true;
    slots.push_back(slot);
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    const std::string& named = pool.backends[i].backup;
    fleet.backends[slots[i]].backup = named.empty() ? next_in_order(fleet, slots[i]) : fleet.find(named);
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
