// One pool as the main thread oversees it, and how its backends' slots come to an end.
//
// A backend that left the file drains. Once it is out of service and nothing of it is left, its slot is
// freed: no name leads there any more. A freed slot is reusable when nobody can remember it: no plan is kept
// in which it had a name. Counters at a slot go on when it is used again; what counts is their difference
// from then.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "conf/settings.h"
#include "health/forecast.h"
#include "health/incidents.h"
#include "health/instances.h"
#include "health/pool_health.h"
#include "routing/fleet.h"
#include "routing/memory.h"
#include "routing/router.h"
#include "src/net/tls_connector.h"
#include "src/probe.h"
#include "src/proxy/clock.h"
#include "src/proxy/plan.h"
#include "src/status/collect.h"

namespace limpet {

inline uint32_t unix_seconds() { return static_cast<uint32_t>(std::time(nullptr)); }
inline uint32_t steady_seconds() {
  return static_cast<uint32_t>(proxy::Clock().monotonic_us() / 1'000'000);  // by the workers' clock
}
inline routing::Now both_clocks() { return {unix_seconds(), steady_seconds()}; }

struct OverseenPool {
  // By slot.
  struct Backend {
    std::unique_ptr<Probe> probe;
    std::optional<status::CheckReport> last_check;
    health::Instances instances;
    std::optional<uint64_t> out_since;  // out of service, and what is still under way there has not been cut
    uint64_t drain_began_with = 0;      // sessions
    health::Forecast forecast;          // of its drain
    status::RequestReport requests_before;  // when the slot became this backend's
    routing::HomeCensus census_before;
    uint64_t freed_by = 0;  // the number of the first plan that does not name it; 0: it is not free
  };

  size_t id = 0;
  bool listed = false;  // in the settings
  std::shared_ptr<const conf::Settings> source;
  const conf::Pool* settings = nullptr;  // in `source`
  std::shared_ptr<routing::Memory> memory;
  std::shared_ptr<routing::Router> router;
  status::Meters meters;
  routing::Fleet fleet;                          // as health has it
  net::SharedTlsTrust tls;                       // of its connections; nullptr: none
  std::shared_ptr<net::TlsConnector> connector;  // by it, for checks
  std::optional<health::PoolHealth> health;
  std::vector<Backend> backends;
  size_t slots_ever = 0;  // where anything is counted

  proxy::SharedPoolPlan plan;  // the last that was published
  bool is_changed = true;      // since then
  struct Former {
    uint64_t number;
    std::weak_ptr<const proxy::PoolPlan> plan;
  };
  std::vector<Former> former;  // plans that a worker or one of its requests may keep; the oldest first
  uint64_t plans = 0;          // how many there have been: the number of the last

  std::vector<status::Sample> history;  // a ring; `next_sample` is the oldest once it is full
  size_t next_sample = 0;
  routing::Census sampled;  // at the last sample
  status::RequestReport sampled_requests;
  uint64_t forecast_at = 0;  // when the forecasts of all that drain were made last; milliseconds

  health::Incidents::Where where(routing::Slot slot) const {
    return {id, settings->name, slot, fleet.backends[slot].name};
  }
  uint64_t cut_at(routing::Slot slot) const;  // of one that is out of service
  routing::SessionTable& table() const { return memory->table; }

  // Of whatever sessions came with tokens of backends that the file does not name.
  health::Incidents::Where where_gone() const { return {id, settings->name, routing::kGoneSlot, "(gone)"}; }
  health::Standing standing_gone() const { return {table().homes().census(routing::kGoneSlot)}; }

  // Of the backend that has the slot now.
  health::Standing standing(routing::Slot slot, uint64_t now) const;
  routing::HomeCensus census(routing::Slot slot) const;
  status::RequestReport requests(routing::Slot slot) const;

  // Takes over what the file says of the pool from now on, or that it does not name it any more.
  std::vector<health::SlotChange> adopt(std::shared_ptr<const conf::Settings> from, const conf::Pool& said,
                                        uint64_t now, uint64_t seed);
  void trust(net::SharedTlsTrust whom);
  std::vector<health::SlotChange> leave(uint64_t now);
  size_t slots_after(const conf::Pool& said) const;  // that adopt() would need

  const proxy::SharedPoolPlan& publish();

  bool has(routing::Slot slot) const { return slot < backends.size() && !fleet.backends[slot].is_free(); }
  // Whether anything is left of a backend: of one that the file names, always.
  bool is_gone(routing::Slot slot) const;
  std::vector<routing::Slot> gone() const;  // that are not free yet
  void free(const std::vector<routing::Slot>& slots);
  std::vector<routing::Slot> reusable() const;
  void drop_unused();  // the last slots, as far as they are reusable
  bool is_over() const;

  void take_sample(int64_t now);
};

}  // namespace limpet
