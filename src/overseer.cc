#include "src/overseer.h"

#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>

#include "src/overseer_pool.h"

namespace limpet {

namespace {

constexpr uint64_t kTick = 50;  // milliseconds: how exactly checks are on time
constexpr uint64_t kTicksASecond = 1000 / kTick;

// When everything fails at once, so many failures tell as much as all of them.
constexpr uint32_t kMostEvidence = 10'000;

uint64_t random_seed() {
  uint64_t seed = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed);
  return seed;
}

const char* text(proxy::BackendFailure how) {
  constexpr const char* kTexts[] = {"a connection failed", "a connection ended before the answer", "no answer in time",
                                    "an answer that is not HTTP", "an answer whose status counts as a failure"};
  return kTexts[static_cast<size_t>(how)];
}

uint32_t unix_seconds() { return static_cast<uint32_t>(std::time(nullptr)); }

uint64_t token_of(size_t pool, routing::Slot slot) { return uint64_t{pool} << 16 | slot; }

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

std::shared_ptr<const proxy::Plan> Overseer::adopt(std::shared_ptr<const conf::Settings> settings) {
  for (auto& pool : pools_) pool->listed = false;
  listed_.clear();
  for (const conf::Pool& said : settings->pools) {
    Pool* pool = find_pool(said.name);
    const bool is_new = pool == nullptr;
    if (is_new) {
      pool = pools_.emplace_back(std::make_unique<Pool>()).get();
      pool->index = pools_.size() - 1;
      pool->memory = routing::Router::new_memory(said);
      for (size_t i = 0; i < workers_; ++i) pool->meters.push_back(std::make_shared<proxy::PoolMeter>());
    }
    pool->listed = true;
    pool->source = settings;
    pool->settings = &said;
    pool->router = std::make_shared<routing::Router>(said, secrets_.keys, secrets_.hash_secret, pool->memory);
    pool->fleet = routing::Fleet::from(said, pool->fleet);
    pool->backends.resize(pool->fleet.backends.size());
    for (const conf::Backend& backend : said.backends) pool->backends[pool->fleet.find(backend.name)].check = backend.health;
    if (is_new) {
      pool->health.emplace(said, pool->fleet, now(), random_seed());
    } else {
      apply(*pool, pool->health->reconfigure(said, pool->fleet, now()));
    }
    listed_.push_back(pool);
  }
  routes_ = std::make_shared<const routing::Routes>(routing::Routes::from(*settings));
  settings_ = std::move(settings);
  changed_ = false;
  return make_plan();
}

std::shared_ptr<const proxy::Plan> Overseer::make_plan() const {
  auto plan = std::make_shared<proxy::Plan>();
  plan->settings = settings_;
  plan->routes = routes_;
  for (const Pool* pool : listed_) {
    plan->pools.push_back({.settings = pool->settings, .router = pool->router, .meters = pool->meters, .fleet = pool->fleet});
    pool->health->put_into(plan->pools.back().fleet, now());
  }
  return plan;
}

void Overseer::publish_changes() {
  if (!changed_) return;
  changed_ = false;
  publish_(make_plan(), std::exchange(withdrawn_, {}));
}

Overseer::Pool* Overseer::find_pool(const std::string& name) const {
  for (const auto& pool : pools_) {
    if (pool->settings->name == name) return pool.get();
  }
  return nullptr;
}

// ---- evidence

void Overseer::on_backend_failed(const std::string& pool, routing::Slot slot, proxy::BackendFailure how) {
  if (how == proxy::BackendFailure::nonsense) return;  // it answers; what it says is its application's affair
  if (evidence_waiting_.fetch_add(1) >= kMostEvidence) {
    evidence_waiting_.fetch_sub(1);
    return;
  }
  calls_.post([this, pool, slot, how](bool open) {
    evidence_waiting_.fetch_sub(1);
    if (open) judge_evidence(pool, slot, how);
  });
}

void Overseer::on_backend_worked(const std::string& pool, routing::Slot slot) {
  calls_.post([this, pool, slot](bool open) {
    if (open) judge_evidence(pool, slot, std::nullopt);
  });
}

void Overseer::judge_evidence(const std::string& name, routing::Slot slot, std::optional<proxy::BackendFailure> how) {
  Pool* const pool = find_pool(name);
  if (pool == nullptr || slot >= pool->health->size()) return;
  if (!how) return pool->health->succeeded(slot);
  const health::PoolHealth::Failed failed = pool->health->failed(slot, text(*how), now(), *how == proxy::BackendFailure::connect);
  if (failed.held) {
    spdlog::warn("pool {}: backend {} fails requests ({}), but stays up: max_down_percent of the pool is down already",
                 name, pool->fleet.backends[slot].name, text(*how));
  }
  apply(*pool, slot, failed.change);
  publish_changes();
}

void Overseer::begin_checks(Pool& pool) {
  for (const routing::Slot slot : pool.health->take_due(now())) {
    Pool::Backend& backend = pool.backends[slot];
    if (!backend.probe) backend.probe = std::make_unique<Probe>(loop_, resolver_);
    backend.probe->start(pool.fleet.backends[slot].address, backend.check, this, token_of(pool.index, slot));
  }
}

void Overseer::on_probed(uint64_t token, const health::CheckResult& result, uint64_t microseconds) {
  Pool& pool = *pools_[token >> 16];
  const auto slot = static_cast<routing::Slot>(token & 0xffff);
  const bool passed = result.kind != health::CheckResult::Kind::fail;
  pool.backends[slot].last_check = {passed, result.detail, std::time(nullptr), microseconds};
  apply(pool, slot, pool.health->checked(slot, result, now()));
  publish_changes();
}

// ---- what changes

void Overseer::apply(Pool& pool, const std::vector<health::SlotChange>& changes) {
  for (const auto& [slot, change] : changes) apply(pool, slot, change);
}

void Overseer::apply(Pool& pool, routing::Slot slot, const health::Changed& change) {
  if (!change) return;
  changed_ = true;
  Pool::Backend& backend = pool.backends[slot];
  routing::Homes& homes = pool.table().homes();
  const uint32_t sessions = homes.live(slot);
  const health::Incidents::Where where{pool.settings->name, slot, pool.fleet.backends[slot].name};
  homes.set_in_service(slot, health::in_service(change->to));
  const std::string& name = pool.fleet.backends[slot].name;
  spdlog::log(change->to == routing::BackendState::up ? spdlog::level::info : spdlog::level::warn,
              "pool {}: backend {} is {} ({}{}{}); it has {} sessions", pool.settings->name, name,
              routing::text(change->to), health::text(change->cause), change->detail.empty() ? "" : ": ",
              change->detail, sessions);
  if (change->to == routing::BackendState::draining) {
    backend.drain_began_with = sessions;
    backend.drain_deadline = (*pool.health)[slot].drain_deadline().value_or(now());
  }
  const bool overdue = change->cause == health::Cause::drain_timeout;
  if (health::in_service(change->to)) {
    backend.cut_at.reset();
  } else if (overdue) {
    backend.cut_at = now();
  } else if (!backend.cut_at) {
    const bool drained = change->cause == health::Cause::drained;  // tunnels outlive the sessions they belonged to
    const auto given = static_cast<uint64_t>(pool.settings->drain_timeout.count());
    backend.cut_at = drained ? backend.drain_deadline : now() + given;
  }
  withdraw_overdue(pool);
  tell(incidents_.changed(where, *change, pool.standing(slot), unix_seconds()));
}

void Overseer::tell(const std::vector<health::Notice>& notices) {
  for (const health::Notice& notice : notices) spdlog::warn("{}", health::text(notice));
}

health::Standing Overseer::Pool::standing(routing::Slot slot) const {
  const routing::HomeCensus census = table().homes().census(slot);
  const status::RequestReport requests = status::requests_at(meters, slot);
  return {census, census.failed_back, requests.answered(), requests.failed, requests.retried};
}

// What is under way at a backend out of service may finish within drain_timeout; then it is cut.
void Overseer::withdraw_overdue(Pool& pool) {
  for (size_t i = 0; i < pool.backends.size(); ++i) {
    std::optional<uint64_t>& cut_at = pool.backends[i].cut_at;
    if (!cut_at || *cut_at > now()) continue;
    cut_at.reset();
    withdrawn_.push_back({pool.settings->name, static_cast<routing::Slot>(i)});
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
    changed_ = changed_ || pool->health->is_warming(now());
    withdraw_overdue(*pool);
    for (size_t i = 0; i < pool->fleet.backends.size(); ++i) {
      const auto slot = static_cast<routing::Slot>(i);
      tell(incidents_.tick({pool->settings->name, slot, pool->fleet.backends[i].name}, pool->standing(slot),
                           unix_seconds()));
    }
    if (ticks_ % (kTicksASecond * status::kSampleSeconds) == 0) pool->take_sample(std::time(nullptr));
  }
}

}  // namespace limpet
