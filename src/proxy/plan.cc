#include "src/proxy/plan.h"

#include "routing/memory.h"

namespace limpet::proxy {

bool PoolPlan::sheds(uint64_t now_ms) const {
  if (settings->shed == conf::Shed::off) return false;
  const uint64_t longest = conf::millis(settings->shed_queue_time);
  if (longest != 0 && router->memory()->permits->longest_wait(now_ms) >= longest) return true;
  if (settings->shed_in_flight == 0) return false;
  uint64_t entered = 0, left = 0;
  for (const auto& meter : meters) {
    left += meter->left.value();
    entered += meter->entered.value();
  }
  return entered > left + settings->shed_in_flight;
}

}  // namespace limpet::proxy
