#include "src/proxy/plan.h"

#include "routing/memory.h"

namespace limpet::proxy {

bool PoolPlan::sheds(uint64_t now_ms) const {
  if (settings->shed == conf::Shed::off) return false;
  const uint64_t longest = conf::millis(settings->shed_queue_time);
  if (longest != 0 && router->memory()->permits->longest_wait(now_ms) >= longest && !has_free_place())
    return true;
  if (settings->shed_in_flight == 0) return false;
  uint64_t entered = 0, left = 0;
  for (const auto& meter : meters) {
    left += meter->left.value();
    entered += meter->entered.value();
  }
  return entered > left + settings->shed_in_flight;
}

bool PoolPlan::has_free_place() const {
  const routing::Memory& memory = *router->memory();
  for (size_t i = 0; i < fleet.backends.size(); ++i) {
    const auto slot = static_cast<routing::Slot>(i);
    const routing::Backend& backend = fleet.backends[i];
    if (backend.takes_new_sessions() && memory.permits->has_free(slot) &&
        memory.table.homes().has_room(slot, backend.max_sessions))
      return true;
  }
  return false;
}

}  // namespace limpet::proxy
