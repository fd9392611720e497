// What operators order of backends and sessions, by way of the status endpoint.
#pragma once

#include <uv.h>

#include <string>

#include "health/judge.h"
#include "src/oversight/health_watch.h"
#include "src/oversight/pools.h"
#include "src/oversight/publisher.h"
#include "src/status/control.h"

namespace limpet {

// Of the loop's thread. `who` is for the log.
class Orders {
 public:
  using Done = status::Control::Done;

  // All outlive it.
  Orders(uv_loop_t* loop, Pools& pools, Publisher& publisher, HealthWatch& health)
      : loop_(loop), pools_(pools), publisher_(publisher), health_(health) {}

  Done order(const std::string& pool, const std::string& backend, health::Order what, const std::string& who);
  Done unbind(const std::string& pool, const std::string& session, const std::string& who);
  Done pin(const std::string& pool, const std::string& session, const std::string& backend,
           const std::string& who);

 private:
  Done no_pool(const std::string& name) const;
  static Done no_backend(const OverseenPool& pool, const std::string& name);

  uv_loop_t* const loop_;
  Pools& pools_;
  Publisher& publisher_;
  HealthWatch& health_;
};

}  // namespace limpet
