// The backends of a pool as values: an immutable snapshot that is swapped as a whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"

namespace limpet::routing {

using Slot = uint16_t;  // a backend's place in its pool; stable while the process lives
inline constexpr Slot kNoSlot = 0xffff;
inline constexpr Slot kGoneSlot = 0xfffe;  // the home of sessions whose backend was never in this process

enum class BackendState : uint8_t { up, draining, down, maintenance };
const char* text(BackendState);
const char* predicate(BackendState);  // after "it is": "in maintenance"

inline constexpr uint32_t kWarm = 100;

struct Backend {
  std::string name;
  uint64_t id = 0;  // what tokens and hashes call it: a hash of its name, alike in every balancer
  conf::Address address;
  uint32_t weight = 0;        // its share of new sessions, relative to the others
  uint32_t warmth = kWarm;    // how much of that share it has: less while it warms up, never 0
  uint32_t max_sessions = 0;  // 0: no limit
  BackendState state = BackendState::up;
  bool listed = true;     // in the file; one that was takes no more sessions
  Slot backup = kNoSlot;  // holds a copy of its sessions, where the pool's storage is `backup`

  uint32_t effective_weight() const { return weight * warmth; }
  bool takes_new_sessions() const { return state == BackendState::up && listed && weight > 0; }
  bool serves_its_own() const { return state == BackendState::up || state == BackendState::draining; }
};

struct Fleet {
  std::vector<Backend> backends;  // by Slot

  // Every backend of `before` keeps its slot, those that the pool does not name any more unlisted; what is
  // new follows them.
  static Fleet from(const conf::Pool& pool, const Fleet& before = {});
  Slot find(uint64_t id) const;  // kNoSlot when no backend has it
  Slot find(std::string_view name) const;
};

}  // namespace limpet::routing
