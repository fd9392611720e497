// What the file says of how a backend is judged.
#pragma once

#include "conf/settings.h"
#include "health/change.h"

namespace limpet::health {

using conf::millis;

struct Rules {
  conf::HealthCheck check;
  conf::PassiveHealth passive;
  Millis slow_start = 0;
  Millis drain_timeout = 0;
  Millis idle_timeout = 0;  // that a session may go unseen

  static Rules from(const conf::Pool& pool, const conf::Backend& backend) {
    return {.check = backend.health,
            .passive = pool.passive,
            .slow_start = millis(pool.slow_start),
            .drain_timeout = millis(pool.drain_timeout),
            .idle_timeout = millis(pool.idle_timeout)};
  }
};

}  // namespace limpet::health
