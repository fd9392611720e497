// What workers serve by: one generation of the settings, and the backends as they are at the moment.
// Immutable; a change of anything is a new plan, which every worker takes up between two events.
#pragma once

#include <memory>
#include <vector>

#include "conf/settings.h"
#include "routing/fleet.h"
#include "routing/router.h"
#include "routing/routes.h"
#include "src/proxy/meters.h"

namespace limpet::proxy {

struct PoolPlan {
  size_t id =
      0;  // the same for as long as the pool keeps its sessions; two that have one name in turn have two
  const conf::Pool* settings;  // one of Plan::settings
  std::shared_ptr<routing::Router> router;
  std::vector<std::shared_ptr<PoolMeter>> meters;  // by worker
  routing::Fleet fleet;
};

struct Plan {
  std::shared_ptr<const conf::Settings> settings;
  std::shared_ptr<const routing::Routes> routes;  // to places in `pools`
  std::vector<PoolPlan> pools;                    // as in the settings
};

}  // namespace limpet::proxy
