// What the overseer keeps of one pool. Only its own files include this.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "routing/memory.h"
#include "src/overseer.h"
#include "src/status/collect.h"

namespace limpet {

inline uint32_t unix_seconds() { return static_cast<uint32_t>(std::time(nullptr)); }

struct Overseer::Pool {
  // By slot.
  struct Backend {
    std::unique_ptr<Probe> probe;
    std::optional<status::CheckReport> last_check;
    std::optional<uint64_t> out_since;  // out of service, and what is still under way there has not been cut
    uint64_t drain_began_with = 0;      // sessions
  };

  size_t id = 0;  // its place in Overseer::pools_
  bool listed = false;
  std::shared_ptr<const conf::Settings> source;
  const conf::Pool* settings = nullptr;  // in `source`
  std::shared_ptr<routing::Memory> memory;
  std::shared_ptr<routing::Router> router;
  status::Meters meters;
  routing::Fleet fleet;  // as health has it
  std::optional<health::PoolHealth> health;
  std::vector<Backend> backends;

  std::vector<status::Sample> history;  // a ring; `next_sample` is the oldest once it is full
  size_t next_sample = 0;
  routing::Census sampled;  // at the last sample
  status::RequestReport sampled_requests;

  health::Incidents::Where where(routing::Slot slot) const {
    return {id, settings->name, slot, fleet.backends[slot].name};
  }
  uint64_t cut_at(routing::Slot slot) const;  // of one that is out of service
  routing::SessionTable& table() const { return memory->table; }
  health::Standing standing(routing::Slot slot) const;
  void take_sample(int64_t now);
};

}  // namespace limpet
