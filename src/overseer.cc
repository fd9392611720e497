#include "src/overseer.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "conf/spelling.h"
#include "routing/random.h"
#include "src/overseer_pool.h"
#include "src/reload.h"

namespace limpet {

namespace {

constexpr uint64_t kTick = 50;  // milliseconds: how exactly checks are on time
constexpr uint64_t kTicksASecond = 1000 / kTick;

// When everything fails at once, so many failures tell as much as all of them.
constexpr uint32_t kMostEvidence = 10'000;

const char* text(proxy::BackendFailure how) {
  constexpr const char* kTexts[] = {"a connection failed", "a connection ended before the end of the answer",
                                    "no answer in time", "an answer that is not HTTP",
                                    "an answer whose status counts as a failure"};
  return kTexts[static_cast<size_t>(how)];
}

uint64_t tag_of(size_t pool, routing::Slot slot) { return uint64_t{pool} << 16 | slot; }

}  // namespace

Overseer::Overseer(net::Loop& loop, const net::Resolver& resolver, net::Calls& calls, const Secrets& secrets,
                   size_t workers, Publish publish)
    : loop_(loop),
      resolver_(resolver),
      calls_(calls),
      secrets_(secrets),
      workers_(workers),
      publish_(std::move(publish)) {
  uv_timer_init(loop_.uv(), &timer_);
  timer_.data = this;
}

Overseer::~Overseer() = default;

void Overseer::close() {
  for (auto& pool : pools_) {
    for (Pool::Backend& backend : pool->backends) backend.probe.reset();
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
}

void Overseer::start() {
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Overseer*>(timer->data)->on_tick(); }, kTick, kTick);
}

uint64_t Overseer::now() const { return uv_now(loop_.uv()); }

// ---- settings

Update Overseer::adopt(std::shared_ptr<const conf::Settings> settings) {
  for (auto& pool : pools_) pool->listed = false;
  listed_.clear();
  for (const conf::Pool& said : settings->pools) {
    Pool* pool = find_pool(said.name);
    // One that was away, and comes back with other keys, finds none of its sessions by them.
    if (pool == nullptr || !changed_keys(*pool->settings, said).empty()) pool = new_pool(said);
    pool->listed = true;
    pool->source = settings;
    pool->settings = &said;
    pool->router = std::make_shared<routing::Router>(said, secrets_.keys, secrets_.hash_secret, pool->memory);
    pool->fleet = routing::Fleet::from(said, pool->fleet);
    pool->backends.resize(pool->fleet.backends.size());
    if (!pool->health) {
      pool->health.emplace(said, pool->fleet, now(), routing::random_seed());
    } else {
      apply(*pool, pool->health->reconfigure(said, pool->fleet, now()));
    }
    pool->health->put_into(pool->fleet, now());
    withdraw_overdue(*pool);
    listed_.push_back(pool);
  }
  routes_ = std::make_shared<const routing::Routes>(routing::Routes::from(*settings));
  settings_ = std::move(settings);
  return take_changes();
}

Overseer::Pool* Overseer::new_pool(const conf::Pool& settings) {
  Pool* const pool = pools_.emplace_back(std::make_unique<Pool>()).get();
  pool->id = pools_.size() - 1;
  pool->memory = routing::Router::new_memory(settings);
  for (size_t i = 0; i < workers_; ++i) pool->meters.push_back(std::make_shared<proxy::PoolMeter>());
  return pool;
}

// All that workers are to know, and has not been published.
Update Overseer::take_changes() {
  changed_ = false;
  auto plan = std::make_shared<proxy::Plan>();
  plan->settings = settings_;
  plan->routes = routes_;
  for (const Pool* pool : listed_) {
    plan->pools.push_back({.id = pool->id,
                           .settings = pool->settings,
                           .router = pool->router,
                           .meters = pool->meters,
                           .fleet = pool->fleet});
  }
  return {.plan = std::move(plan), .withdrawn = std::exchange(withdrawn_, {})};
}

void Overseer::publish_changes() {
  if (changed_) publish_(take_changes());
}

Overseer::Pool* Overseer::find_pool(const std::string& name) const {
  const auto found = std::find_if(pools_.rbegin(), pools_.rend(),
                                  [&](const auto& pool) { return pool->settings->name == name; });
  return found == pools_.rend() ? nullptr : found->get();
}

// ---- evidence

void Overseer::on_backend_failed(size_t pool, routing::Slot slot, proxy::BackendFailure how) {
  if (how == proxy::BackendFailure::nonsense) return;  // it answers; what it says is its application's affair
  post_evidence(pool, slot, how);
}

void Overseer::on_backend_worked(size_t pool, routing::Slot slot) { post_evidence(pool, slot, std::nullopt); }

void Overseer::post_evidence(size_t pool, routing::Slot slot, Evidence what) {
  const auto judge = [this, pool, slot, what](bool open) {
    evidence_waiting_.fetch_sub(1);
    if (open) judge_evidence(*pools_[pool], slot, what);
  };
  if (evidence_waiting_.fetch_add(1) >= kMostEvidence || !calls_.post(judge)) evidence_waiting_.fetch_sub(1);
}

void Overseer::judge_evidence(Pool& pool, routing::Slot slot, Evidence what) {
  if (!what) return pool.health->succeeded(slot);
  const health::PoolHealth::Failed failed =
      pool.health->failed(slot, text(*what), now(), *what == proxy::BackendFailure::connect);
  if (failed.held) {
    spdlog::warn(
        "pool {}: backend {} fails requests ({}), but stays up: its pool's max_down_percent "
        "allows no more to be down for that alone",
        pool.settings->name, pool.fleet.backends[slot].name, text(*what));
  }
  apply(pool, slot, failed.change);
  publish_changes();
}

void Overseer::begin_checks(Pool& pool) {
  for (const routing::Slot slot : pool.health->take_due(now())) {
    Pool::Backend& backend = pool.backends[slot];
    if (!backend.probe) backend.probe = std::make_unique<Probe>(loop_, resolver_);
    backend.probe->start(pool.fleet.backends[slot].address, (*pool.health)[slot].check(), this,
                         tag_of(pool.id, slot));
  }
}

void Overseer::on_probed(uint64_t tag, const health::CheckResult& result, uint64_t microseconds) {
  Pool& pool = *pools_[tag >> 16];
  const auto slot = static_cast<routing::Slot>(tag & 0xffff);
  using enum health::CheckResult::Kind;
  if (result.kind != unasked)
    pool.backends[slot].last_check = {result.kind != fail, result.detail, std::time(nullptr), microseconds};
  apply(pool, slot, pool.health->checked(slot, result, now()));
  publish_changes();
}

// ---- what changes

void Overseer::apply(Pool& pool, const std::vector<health::SlotChange>& changes) {
  for (const auto& [slot, change] : changes) apply(pool, slot, change);
}

void Overseer::apply(Pool& pool, routing::Slot slot, const health::Changed& change) {
  if (!change) return;
  pool.health->put_into(pool.fleet, now());
  changed_ = true;
  Pool::Backend& backend = pool.backends[slot];
  routing::Homes& homes = pool.table().homes();
  const uint32_t sessions = homes.live(slot);
  homes.set_in_service(slot, health::in_service(change->to));
  const std::string& name = pool.fleet.backends[slot].name;
  const bool failed = change->to == routing::BackendState::down && health::in_service(change->from);
  spdlog::log(failed ? spdlog::level::warn : spdlog::level::info,
              "pool {}: backend {} is {} ({}{}{}); it has {}", pool.settings->name, name,
              routing::predicate(change->to), health::text(change->cause), change->detail.empty() ? "" : ": ",
              change->detail, conf::counted(sessions, "session"));
  if (change->to == routing::BackendState::draining) backend.drain_began_with = sessions;
  if (health::in_service(change->to)) {
    backend.out_since.reset();
  } else if (health::in_service(change->from)) {
    backend.out_since = now();
  }
  withdraw_overdue(pool);
  tell(incidents_.changed(pool.where(slot), *change, pool.standing(slot), unix_seconds()));
}

void Overseer::tell(const std::vector<health::Notice>& notices) {
  for (const health::Notice& notice : notices) {
    spdlog::log(health::is_routine(notice) ? spdlog::level::info : spdlog::level::warn, "{}",
                health::text(notice));
  }
}

health::Standing Overseer::Pool::standing(routing::Slot slot) const {
  const routing::HomeCensus census = table().homes().census(slot);
  const status::RequestReport requests = status::requests_at(meters, slot);
  return {census, requests.answered(), requests.failed, requests.retried};
}

// What is under way at a backend out of service may finish within drain_timeout. Tunnels outlive the sessions
// that they belonged to, until the deadline that their drain had.
uint64_t Overseer::Pool::cut_at(routing::Slot slot) const {
  const uint64_t at =
      backends[slot].out_since.value_or(0) + static_cast<uint64_t>(settings->drain_timeout.count());
  return std::min(at, (*health)[slot].drain_deadline().value_or(at));
}

void Overseer::withdraw_overdue(Pool& pool) {
  for (size_t i = 0; i < pool.backends.size(); ++i) {
    const auto slot = static_cast<routing::Slot>(i);
    std::optional<uint64_t>& out_since = pool.backends[i].out_since;
    if (!out_since || pool.cut_at(slot) > now()) continue;
    out_since.reset();
    withdrawn_.push_back({pool.id, slot});
    changed_ = true;
  }
}

void Overseer::on_tick() {
  for (Pool* pool : listed_) begin_checks(*pool);
  if (++ticks_ % kTicksASecond == 0) each_second();
  publish_changes();
}

void Overseer::each_second() {
  for (const auto& pool : pools_) {
    pool->table().sweep(unix_seconds());
    std::vector<uint32_t> loads;
    for (size_t i = 0; i < pool->fleet.backends.size(); ++i)
      loads.push_back(pool->table().homes().load(static_cast<routing::Slot>(i)));
    apply(*pool, pool->health->tick(loads, now()));
    changed_ = pool->health->put_into(pool->fleet, now()) || changed_;
    withdraw_overdue(*pool);
    for (size_t i = 0; i < pool->fleet.backends.size(); ++i) {
      const auto slot = static_cast<routing::Slot>(i);
      tell(incidents_.tick(pool->where(slot), pool->standing(slot), unix_seconds()));
    }
    if (ticks_ % (kTicksASecond * status::kSampleSeconds) == 0) pool->take_sample(std::time(nullptr));
  }
}

}  // namespace limpet
