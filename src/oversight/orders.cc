#include "src/oversight/orders.h"

#include <spdlog/spdlog.h>

#include <vector>

#include "conf/spelling.h"

namespace limpet {

namespace {

constexpr int kUnknown = 404, kConflict = 409;

Orders::Done no_session(const std::string& pool) {
  return {false, kUnknown, "pool " + pool + " knows no such session"};
}

}  // namespace

Orders::Done Orders::no_pool(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& pool : pools_.all()) names.push_back(pool->settings->name);
  return status::unknown("pool", name, names);
}

Orders::Done Orders::no_backend(const OverseenPool& pool, const std::string& name) {
  std::vector<std::string> names;
  for (size_t i = 0; i < pool.fleet.backends.size(); ++i)
    if (!pool.is_gone(static_cast<routing::Slot>(i))) names.push_back(pool.fleet.backends[i].name);
  return status::unknown("backend", name, names);
}

Orders::Done Orders::order(const std::string& pool_name, const std::string& backend, health::Order what,
                           const std::string& who) {
  OverseenPool* const pool = pools_.find(pool_name);
  if (pool == nullptr) return no_pool(pool_name);
  const routing::Slot slot = pool->fleet.find(std::string_view(backend));
  if (slot == routing::kNoSlot || pool->is_gone(slot)) return no_backend(*pool, backend);
  const health::Judge::Answer answer = pool->health->order(slot, what, who, uv_now(loop_));
  if (!answer.refusal.empty()) return {false, kConflict, answer.refusal};
  spdlog::info("pool {}: backend {}: {} ordered by {}", pool_name, backend, health::text(what), who);
  health_.apply(*pool, slot, answer.change);
  publisher_.publish();
  const routing::BackendState state = (*pool->health)[slot].state();
  const bool waits = what == health::Order::up && state == routing::BackendState::down;
  const auto unknown = (*pool->health)[slot].unknown(uv_now(loop_));
  return {true, 200,
          backend + " of " + pool_name + " is " + routing::predicate(state) +
              (waits ? " until its checks pass: " : ": ") +
              conf::counted(pool->table().homes().live(slot), "session") +
              (unknown ? "; " + health::text(*unknown) + "; with --known-only a drain does not wait for these"
                       : "")};
}

Orders::Done Orders::unbind(const std::string& pool_name, const std::string& session,
                            const std::string& who) {
  OverseenPool* const pool = pools_.find(pool_name);
  if (pool == nullptr) return no_pool(pool_name);
  if (!pool->router->unbind(session, both_clocks())) return no_session(pool_name);
  spdlog::info("pool {}: a session unbound by {}", pool_name, who);
  return {true, 200, "the session is bound to no backend any more"};
}

Orders::Done Orders::pin(const std::string& pool_name, const std::string& session, const std::string& backend,
                         const std::string& who) {
  OverseenPool* const pool = pools_.find(pool_name);
  if (pool == nullptr) return no_pool(pool_name);
  const routing::Slot slot = pool->fleet.find(std::string_view(backend));
  if (slot == routing::kNoSlot || pool->is_gone(slot)) return no_backend(*pool, backend);
  if (!health::in_service((*pool->health)[slot].state()))
    return {false, kConflict, backend + " is " + routing::predicate((*pool->health)[slot].state())};
  if (!pool->router->pin(session, slot, both_clocks())) return no_session(pool_name);
  spdlog::info("pool {}: a session pinned to {} by {}", pool_name, backend, who);
  return {true, 200, "the session lives at " + backend};
}

}  // namespace limpet
