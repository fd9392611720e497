#include "src/oversight/health_watch.h"

#include <spdlog/spdlog.h>

#include "conf/spelling.h"
#include "src/proxy/proxy_protocol.h"

namespace limpet {

namespace {

// When everything fails at once, so many failures tell as much as all of them.
constexpr uint32_t kMostEvidence = 10'000;

uint64_t tag_of(size_t pool, routing::Slot slot) { return uint64_t{pool} << 16 | slot; }

}  // namespace

HealthWatch::HealthWatch(net::Loop& loop, net::Resolver& resolver, net::Descriptors& descriptors,
                         net::Calls& calls, Pools& pools, Publisher& publisher)
    : loop_(loop),
      resolver_(resolver),
      descriptors_(descriptors),
      calls_(calls),
      pools_(pools),
      publisher_(publisher) {}

void HealthWatch::close() {
  for (const auto& pool : pools_.all()) {
    for (OverseenPool::Backend& backend : pool->backends) backend.probe.reset();
  }
}

// ---- evidence

void HealthWatch::on_evidence(size_t pool, routing::Slot slot, const health::Evidence& evidence) {
  const auto take = [this, pool, slot, evidence](bool open) {
    evidence_waiting_.fetch_sub(1);
    OverseenPool* const told = open ? pools_.find(pool) : nullptr;
    if (told == nullptr || !told->has(slot)) return;
    told->health->answered(slot, status::last_answered(told->meters, slot));
    apply(*told, slot, told->health->told(slot, evidence, now()));
    if (told->health->take_due(slot, now())) begin_check(*told, slot);
  };
  if (evidence_waiting_.fetch_add(1) >= kMostEvidence || !calls_.post(take)) evidence_waiting_.fetch_sub(1);
}

void HealthWatch::begin_check(OverseenPool& pool, routing::Slot slot) {
  OverseenPool::Backend& backend = pool.backends[slot];
  if (!backend.probe) backend.probe = std::make_unique<Probe>(loop_, resolver_, descriptors_, tls_room_);
  const conf::HealthCheck question = (*pool.health)[slot].question();
  backend.instances.asks(question);
  const unsigned version = pool.settings->send_proxy;
  backend.probe->start({.address = pool.fleet.backends[slot].address,
                        .check = question,
                        .tls = pool.connector,
                        .preface = version == 0 ? std::string() : proxy::own_proxy_header(version),
                        .protocol = pool.settings->protocol},
                       this, tag_of(pool.id, slot));
}

void HealthWatch::on_probed(uint64_t tag, const health::CheckResult& result, uint64_t microseconds) {
  OverseenPool& pool = *pools_.find(tag >> 16);  // a pool that is over has no probe
  const auto slot = static_cast<routing::Slot>(tag & 0xffff);
  if (result.kind != health::CheckResult::Kind::unasked)
    pool.backends[slot].last_check = {!result.failed(), result.detail, std::time(nullptr), microseconds};
  pool.health->answered(slot, status::last_answered(pool.meters, slot));
  const health::Judge& judge = (*pool.health)[slot];
  const bool was_held = judge.is_held();
  const bool was_in_service = health::in_service(judge.state());
  const health::Changed change = pool.health->checked(slot, result, now());
  if (!was_held && judge.is_held()) {
    spdlog::warn("pool {}: backend {} is {}; its pool's max_down_percent allows no more to be down for that",
                 pool.settings->name, pool.fleet.backends[slot].name, judge.doubt());
  }
  apply(pool, slot, change);
  // Out of service its sessions are at risk already, and stay so when it comes back.
  const bool restarted = is_restarted(pool, slot, result);
  if (restarted && was_in_service && health::in_service(judge.state())) tell_restart(pool, slot);
}

bool HealthWatch::is_restarted(OverseenPool& pool, routing::Slot slot, const health::CheckResult& result) {
  health::Instances& instances = pool.backends[slot].instances;
  const std::string before = instances.doubt();
  const bool restarted = instances.saw(result.instance);
  if (const std::string doubt = instances.doubt(); !doubt.empty() && doubt != before)
    spdlog::warn("pool {}: backend {}: {}", pool.settings->name, pool.fleet.backends[slot].name, doubt);
  return restarted;
}

// ---- what changes

void HealthWatch::tell_restart(OverseenPool& pool, routing::Slot slot) {
  routing::Homes& homes = pool.table().homes();
  homes.put_at_risk(slot);
  homes.set_shaken(slot, unix_seconds());
  const std::string news = pool.backends[slot].instances.news();
  spdlog::warn("pool {}: backend {} was restarted between two checks ({}); it has {}", pool.settings->name,
               pool.fleet.backends[slot].name, news, conf::counted(homes.live(slot), "session"));
  tell(incidents_.restarted(pool.where(slot), news, pool.standing(slot, now()), unix_seconds()));
}

void HealthWatch::apply(OverseenPool& pool, const std::vector<health::SlotChange>& changes) {
  for (const auto& [slot, change] : changes) apply(pool, slot, change);
}

void HealthWatch::apply(OverseenPool& pool, routing::Slot slot, const health::Changed& change) {
  if (!change) return;
  publisher_.changed(pool);
  pool.health->put_into(pool.fleet, slot, now());
  OverseenPool::Backend& backend = pool.backends[slot];
  routing::Homes& homes = pool.table().homes();
  const uint32_t sessions = homes.live(slot);
  homes.set_in_service(slot, health::in_service(change->to));
  const std::string& name = pool.fleet.backends[slot].name;
  const auto detail = [&change](const std::string& more) {
    return change->detail + (change->detail.empty() || more.empty() ? "" : "; ") + more;
  };
  const auto unknown = (*pool.health)[slot].unknown(now());
  const std::string in_log = detail(unknown ? health::text(*unknown) : "");
  health::Change told = *change;
  told.detail = detail(unknown ? health::kMayNotKnow : "");
  const bool failed = change->to == routing::BackendState::down && health::in_service(change->from);
  spdlog::log(failed ? spdlog::level::warn : spdlog::level::info,
              "pool {}: backend {} is {} ({}{}{}); it has {}", pool.settings->name, name,
              routing::predicate(told.to), health::text(told.cause), in_log.empty() ? "" : ": ", in_log,
              conf::counted(sessions, "session"));
  if (change->to == routing::BackendState::draining) backend.drain_began_with = sessions;
  if (health::in_service(change->to)) {
    if (!health::in_service(change->from)) homes.set_shaken(slot, unix_seconds());
    backend.out_since.reset();
  } else if (health::in_service(change->from)) {
    backend.out_since = now();
  }
  withdraw_overdue(pool);
  tell(incidents_.changed(pool.where(slot), told, pool.standing(slot, now()), unix_seconds()));
}

void HealthWatch::tell(const std::vector<health::Notice>& notices) {
  for (const health::Notice& notice : notices) {
    spdlog::log(health::is_routine(notice) ? spdlog::level::info : spdlog::level::warn, "{}",
                health::text(notice));
  }
}

void HealthWatch::withdraw_overdue(OverseenPool& pool) {
  for (size_t i = 0; i < pool.backends.size(); ++i) {
    const auto slot = static_cast<routing::Slot>(i);
    std::optional<uint64_t>& out_since = pool.backends[i].out_since;
    if (!out_since || pool.cut_at(slot) > now()) continue;
    out_since.reset();
    publisher_.withdraw(pool, slot);
  }
}

// ---- as time goes by

void HealthWatch::begin_checks(OverseenPool& pool) {
  for (const routing::Slot slot : pool.health->take_due(now())) begin_check(pool, slot);
}

void HealthWatch::each_second(OverseenPool& pool) {
  std::vector<uint32_t> loads;
  for (size_t i = 0; i < pool.fleet.backends.size(); ++i) {
    const auto slot = static_cast<routing::Slot>(i);
    loads.push_back(pool.table().homes().load(slot));
    pool.health->answered(slot, status::last_answered(pool.meters, slot));
  }
  apply(pool, pool.health->tick(loads, now()));
  withdraw_overdue(pool);
  for (size_t i = 0; i < pool.fleet.backends.size(); ++i) {
    const auto slot = static_cast<routing::Slot>(i);
    if (pool.fleet.backends[i].is_free()) continue;
    tell(incidents_.tick(pool.where(slot), pool.standing(slot, now()), unix_seconds()));
  }
  tell(incidents_.tick(pool.where_gone(), pool.standing_gone(), unix_seconds()));
}

}  // namespace limpet
