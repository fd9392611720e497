#include "src/oversight/pools.h"

#include <algorithm>
#include <unordered_set>

#include "routing/random.h"
#include "src/reload.h"

namespace limpet {

std::vector<OverseenPool*> Pools::latest() const {
  std::vector<OverseenPool*> found;
  std::unordered_set<std::string_view> names;
  for (const auto& pool : pools_) {
    if (names.insert(pool->settings->name).second) found.push_back(pool.get());
  }
  return found;
}

OverseenPool* Pools::find(const std::string& name) const {
  const auto found = std::find_if(pools_.begin(), pools_.end(),
                                  [&](const auto& pool) { return pool->settings->name == name; });
  return found == pools_.end() ? nullptr : found->get();
}

OverseenPool* Pools::find(size_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::unordered_map<std::string_view, size_t> Pools::places_by_name() const {
  std::unordered_map<std::string_view, size_t> known;
  for (size_t i = 0; i < pools_.size(); ++i) known.emplace(pools_[i]->settings->name, i);
  return known;
}

std::string Pools::refusal(const conf::Settings& settings) const {
  const auto known = places_by_name();
  for (const conf::Pool& said : settings.pools) {
    const auto found = known.find(said.name);
    if (found == known.end() || pools_[found->second]->slots_after(said) <= routing::kMostSlots) continue;
    return "pool " + said.name + " would have more than " + std::to_string(routing::kMostSlots) +
           " backends, with those that left it and still drain";
  }
  return {};
}

Pools::Changes Pools::adopt(const std::shared_ptr<const conf::Settings>& settings,
                            std::vector<net::SharedTlsTrust> trusts, uint64_t now) {
  const auto known = places_by_name();
  std::vector<std::unique_ptr<OverseenPool>> next;
  Changes changes;
  for (size_t place = 0; place < settings->pools.size(); ++place) {
    const conf::Pool& said = settings->pools[place];
    const auto found = known.find(said.name);
    // One that was away, and comes back with other keys, finds none of its sessions by them.
    const bool goes_on = found != known.end() && changed_keys(*pools_[found->second]->settings, said).empty();
    OverseenPool* const pool =
        next.emplace_back(goes_on ? std::move(pools_[found->second]) : make(said)).get();
    pool->router = std::make_shared<routing::Router>(said, secrets_.keys, secrets_.hash_secret, pool->memory);
    changes.emplace_back(pool, pool->adopt(settings, said, now, routing::random_seed()));
    pool->trust(std::move(trusts[place]));
  }
  for (std::unique_ptr<OverseenPool>& former : pools_) {
    if (former == nullptr) continue;
    OverseenPool* const pool = next.emplace_back(std::move(former)).get();
    if (pool->listed) changes.emplace_back(pool, pool->leave(now));
  }
  pools_ = std::move(next);
  return changes;
}

std::unique_ptr<OverseenPool> Pools::make(const conf::Pool& settings) {
  auto pool = std::make_unique<OverseenPool>();
  pool->id = ++last_id_;
  pool->memory = routing::Router::new_memory(settings);
  for (size_t i = 0; i < workers_; ++i) pool->meters.push_back(std::make_shared<proxy::PoolMeter>());
  by_id_[pool->id] = pool.get();
  return pool;
}

std::unique_ptr<OverseenPool> Pools::take_over() {
  const auto over =
      std::find_if(pools_.begin(), pools_.end(), [](const auto& pool) { return pool->is_over(); });
  if (over == pools_.end()) return nullptr;
  std::unique_ptr<OverseenPool> pool = std::move(*over);
  pools_.erase(over);
  by_id_.erase(pool->id);
  return pool;
}

}  // namespace limpet
