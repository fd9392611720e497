#include "src/oversight/pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace limpet {

using routing::Slot;

// What is under way at a backend out of service may finish within drain_timeout. Tunnels outlive the sessions
// that they belonged to, until the deadline that their drain had.
uint64_t OverseenPool::cut_at(Slot slot) const {
  const uint64_t at =
      backends[slot].out_since.value_or(0) + static_cast<uint64_t>(settings->drain_timeout.count());
  return std::min(at, (*health)[slot].drain_deadline().value_or(at));
}

// ---- counts

routing::HomeCensus OverseenPool::census(Slot slot) const {
  return table().homes().census(slot) - backends[slot].census_before;
}

status::RequestReport OverseenPool::requests(Slot slot) const {
  return status::requests_at(meters, slot) - backends[slot].requests_before;
}

health::Standing OverseenPool::standing(Slot slot, uint64_t now) const {
  const status::RequestReport& before = backends[slot].requests_before;
  const status::Outcomes outcomes = status::outcomes_at(meters, slot);
  return {.census = census(slot),
          .requests_answered = outcomes.answered - before.answered(),
          .requests_failed = outcomes.failed - before.failed,
          .requests_retried = outcomes.retried - before.retried,
          .doubt = (*health)[slot].doubt(),
          .has_unknown = (*health)[slot].unknown(now).has_value()};
}

// ---- the file

std::vector<health::SlotChange> OverseenPool::adopt(std::shared_ptr<const conf::Settings> from,
                                                    const conf::Pool& said, uint64_t now, uint64_t seed) {
  const routing::Fleet before = std::move(fleet);
  source = std::move(from);
  settings = &said;
  listed = is_changed = true;
  fleet = routing::Fleet::from(said, before, reusable());
  backends.resize(fleet.backends.size());
  slots_ever = std::max(slots_ever, backends.size());
  std::vector<Slot> taken;
  for (size_t i = 0; i < backends.size(); ++i) {
    const bool is_new = i >= before.backends.size() || before.backends[i].id != fleet.backends[i].id;
    if (!is_new || fleet.backends[i].is_free()) continue;
    const auto slot = static_cast<Slot>(i);
    backends[i] = {};
    backends[i].requests_before = status::requests_at(meters, slot);
    backends[i].census_before = table().homes().census(slot);
    table().homes().set_in_service(slot, true);
    table().homes().set_shaken(slot, 0);
    taken.push_back(slot);
  }
  // A request that came under an earlier plan may have left its mark after the slot was freed.
  if (!taken.empty()) table().forget(taken);
  std::vector<health::SlotChange> changes;
  if (health) {
    changes = health->reconfigure(said, fleet, now);
  } else {
    health.emplace(said, fleet, now, seed);
  }
  health->put_into(fleet, now);
  return changes;
}

std::vector<health::SlotChange> OverseenPool::leave(uint64_t now) {
  listed = false;
  is_changed = true;
  for (routing::Backend& backend : fleet.backends) backend.listed = false;
  std::vector<health::SlotChange> changes = health->remove_all(now);
  health->put_into(fleet, now);
  return changes;
}

size_t OverseenPool::slots_after(const conf::Pool& said) const {
  const auto added = std::count_if(said.backends.begin(), said.backends.end(), [this](const auto& backend) {
    return fleet.find(backend.name) == routing::kNoSlot;
  });
  return fleet.backends.size() + static_cast<size_t>(added) - reusable().size();
}

// ---- plans

// One that was loaded has been found to be good.
void OverseenPool::trust(net::SharedTlsTrust whom) {
  if (whom == tls) return;
  std::string error;
  tls = std::move(whom);
  connector = tls == nullptr ? nullptr : net::TlsConnector::make(tls, error);
  if (!error.empty()) spdlog::error("pool {}: {}", settings->name, error);
  is_changed = true;
}

const proxy::SharedPoolPlan& OverseenPool::publish() {
  if (!is_changed) return plan;
  memory->permits->follow(fleet);
  if (plan != nullptr) former.push_back({plans, plan});
  ++plans;
  plan = std::make_shared<const proxy::PoolPlan>(proxy::PoolPlan{.id = id,
                                                                 .source = source,
                                                                 .settings = settings,
                                                                 .router = router,
                                                                 .meters = meters,
                                                                 .fleet = fleet,
                                                                 .tls = tls});
  is_changed = false;
  return plan;
}

// ---- the end of a slot

bool OverseenPool::is_gone(Slot slot) const {
  const routing::Backend& backend = fleet.backends[slot];
  if (backend.listed) return false;
  return backend.is_free() ||
         (!health::in_service((*health)[slot].state()) && table().homes().is_empty(slot) &&
          status::outcomes_at(meters, slot).in_flight == 0);
}

std::vector<Slot> OverseenPool::gone() const {
  std::vector<Slot> slots;
  for (size_t i = 0; i < fleet.backends.size(); ++i) {
    const auto slot = static_cast<Slot>(i);
    if (!fleet.backends[i].is_free() && is_gone(slot)) slots.push_back(slot);
  }
  return slots;
}

void OverseenPool::free(const std::vector<Slot>& slots) {
  table().forget(slots);
  fleet.free(slots);
  health->free(slots);
  for (const Slot slot : slots) {
    backends[slot] = {};
    backends[slot].freed_by = plans + 1;
  }
  is_changed = true;
}

std::vector<Slot> OverseenPool::reusable() const {
  const auto kept =
      std::find_if(former.begin(), former.end(), [](const Former& one) { return !one.plan.expired(); });
  std::vector<Slot> slots;
  for (size_t i = 0; i < backends.size(); ++i) {
    const auto slot = static_cast<Slot>(i);
    const uint64_t freed_by = backends[i].freed_by;
    if (freed_by == 0 || freed_by > plans || (kept != former.end() && kept->number < freed_by)) continue;
    if (table().homes().is_empty(slot) && status::outcomes_at(meters, slot).in_flight == 0)
      slots.push_back(slot);
  }
  return slots;
}

void OverseenPool::drop_unused() {
  std::erase_if(former, [](const Former& one) { return one.plan.expired(); });
  if (backends.empty() || backends.back().freed_by == 0) return;
  std::vector<Slot> slots = reusable();
  while (!slots.empty() && slots.back() + size_t{1} == backends.size()) {
    slots.pop_back();
    fleet.drop_last();
    health->drop_last();
    backends.pop_back();
    is_changed = true;
  }
}

bool OverseenPool::is_over() const {
  return !listed && std::all_of(fleet.backends.begin(), fleet.backends.end(),
                                [](const routing::Backend& backend) { return backend.is_free(); });
}

// ---- samples

void OverseenPool::take_sample(int64_t at) {
  const status::RequestReport requests = status::requests_of_all(meters, slots_ever);
  const routing::Census census = table().census();
  const routing::Tally since = census.books.all - sampled.books.all;
  const status::HistogramReport latency = requests.latency - sampled_requests.latency;
  const status::Sample sample{.at = at,
                              .live = census.live,
                              .at_risk = census.at_risk,
                              .begun = since.begun(),
                              .ended = since.ended(),
                              .lost = since[routing::Event::lost],
                              .uncertain = since[routing::Event::uncertain],
                              .requests = requests.count() - sampled_requests.count(),
                              .failed = requests.failed - sampled_requests.failed,
                              .p50_us = static_cast<uint64_t>(latency.quantile_us(0.5)),
                              .p99_us = static_cast<uint64_t>(latency.quantile_us(0.99))};
  sampled = census;
  sampled_requests = requests;
  if (history.size() < status::kSamples) {
    history.push_back(sample);
  } else {
    history[next_sample] = sample;
    next_sample = (next_sample + 1) % history.size();
  }
}

}  // namespace limpet
