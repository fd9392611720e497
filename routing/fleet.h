// The backends of a pool as values: an immutable snapshot that is swapped as a whole.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"

namespace limpet::routing {

using Slot = uint16_t;  // a backend's place in its pool, for as long as anything is left of it
inline constexpr Slot kNoSlot = 0xffff;
inline constexpr Slot kGoneSlot = 0xfffe;  // the home of sessions whose backend this process does not know
inline constexpr size_t kMostSlots = conf::Pool::kMostBackends;
static_assert(kMostSlots == kGoneSlot);

enum class BackendState : uint8_t { up, draining, down, maintenance };
const char* text(BackendState);
const char* predicate(BackendState);  // after "it is": "in maintenance"

inline constexpr uint32_t kWarm = 100;

struct Backend {
  std::string name{};  // empty: the slot is free
  uint64_t id = 0;     // what tokens and hashes call it: a hash of its name, alike in every balancer
  conf::Address address{};
  uint32_t lost_addresses = 0;   // how often its name has lost one
  uint32_t weight = 0;           // its share of new sessions, relative to the others
  uint32_t warmth = kWarm;       // how much of that share it has: less while it warms up, never 0
  uint32_t max_sessions = 0;     // 0: no limit
  uint32_t max_connections = 0;  // the same
  BackendState state = BackendState::up;
  bool listed = true;  // in the file; one that was takes no more sessions
  // Where the pool's storage is `backup`: who holds the copies of its sessions; kGoneSlot: somebody who has
  // left. kNoSlot: nobody is named, and any other may hold one.
  Slot backup = kNoSlot;

  bool is_free() const { return name.empty(); }
  uint32_t effective_weight() const { return weight * warmth; }
  bool takes_new_sessions() const { return state == BackendState::up && listed && weight > 0; }
  bool serves_its_own() const { return state == BackendState::up || state == BackendState::draining; }
};

struct Fleet {
  std::vector<Backend> backends;  // by Slot

  // Every backend of `before` keeps its slot, those that the pool does not name any more unlisted. What is
  // new takes the `reusable` ones, which are free, in their order, then slots that follow. There are enough:
  // the pool's backends, and those of `before` that it does not name, are at most kMostSlots.
  static Fleet from(const conf::Pool& pool, const Fleet& before = {}, std::span<const Slot> reusable = {});
  void free(std::span<const Slot> slots);    // nothing leads there any more by a name or an id
  void drop_last() { backends.pop_back(); }  // which is free

  Slot find(uint64_t id) const;  // kNoSlot when no backend has it
  Slot find(std::string_view name) const;

 private:
  void index();

  struct Place {
    uint64_t id;
    Slot slot;
  };
  std::vector<Place> places_;  // by id, of all; empty where looking through `backends` is as fast
};

}  // namespace limpet::routing
