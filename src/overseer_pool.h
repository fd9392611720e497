// What the overseer keeps of one pool. Only its own files include this.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "routing/memory.h"
#include "src/overseer.h"
#include "src/status/collect.h"

namespace limpet {

struct Overseer::Pool {
  // By slot.
  struct Backend {
    std::unique_ptr<Probe> probe;
    conf::HealthCheck check;
    std::optional<status::CheckReport> last_check;
    std::optional<uint64_t> cut_at;  // when what is still under way there is cut
    uint64_t drain_began_with = 0;   // sessions
    uint64_t drain_deadline = 0;     // of the last drain
  };

  size_t index = 0;  // in Overseer::pools_
  bool listed = false;
  std::shared_ptr<const conf::Settings> source;
  const conf::Pool* settings = nullptr;  // in `source`
  std::shared_ptr<routing::Memory> memory;
  std::shared_ptr<routing::Router> router;
  status::Meters meters;
  routing::Fleet fleet;
  std::optional<health::PoolHealth> health;
  std::vector<Backend> backends;

  std::vector<status::Sample> history;  // a ring; `next_sample` is the oldest once it is full
  size_t next_sample = 0;
  routing::Census sampled;  // at the last sample
  status::RequestReport sampled_requests;

  routing::SessionTable& table() const { return memory->table; }
  health::Standing standing(routing::Slot slot) const;
  void take_sample(int64_t now);
};

}  // namespace limpet
