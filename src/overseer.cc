#include "src/overseer.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "conf/spelling.h"
#include "routing/random.h"
#include "src/overseer_pool.h"
#include "src/proxy/proxy_protocol.h"
#include "src/reload.h"

namespace limpet {

namespace {

constexpr uint64_t kTick = 50;  // milliseconds: how exactly checks are on time
constexpr uint64_t kTicksASecond = 1000 / kTick;

// When everything fails at once, so many failures tell as much as all of them.
constexpr uint32_t kMostEvidence = 10'000;

uint64_t tag_of(size_t pool, routing::Slot slot) { return uint64_t{pool} << 16 | slot; }

}  // namespace

Overseer::Overseer(net::Loop& loop, net::Resolver& resolver, net::Descriptors& descriptors, net::Calls& calls,
                   const Secrets& secrets, size_t workers, Publish publish)
    : loop_(loop),
      resolver_(resolver),
      descriptors_(descriptors),
      calls_(calls),
      secrets_(secrets),
      workers_(workers),
      publish_(std::move(publish)) {
  uv_timer_init(loop_.uv(), &timer_);
  uv_prepare_init(loop_.uv(), &end_of_turn_);
  timer_.data = end_of_turn_.data = this;
  resolver_.on_lost([this](const std::string& name) { on_address_lost(name); });
}

Overseer::~Overseer() = default;

void Overseer::close() {
  for (auto& pool : pools_) {
    for (Pool::Backend& backend : pool->backends) backend.probe.reset();
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&end_of_turn_), nullptr);
}

void Overseer::start() {
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Overseer*>(timer->data)->on_tick(); }, kTick, kTick);
  uv_prepare_start(&end_of_turn_,
                   [](uv_prepare_t* prepare) { static_cast<Overseer*>(prepare->data)->publish_changes(); });
}

uint64_t Overseer::now() const { return uv_now(loop_.uv()); }

// ---- settings

std::string Overseer::refusal(const conf::Settings& settings) const {
  const auto known = pools_by_name();
  for (const conf::Pool& said : settings.pools) {
    const auto found = known.find(said.name);
    if (found == known.end() || pools_[found->second]->slots_after(said) <= routing::kMostSlots) continue;
    return "pool " + said.name + " would have more than " + std::to_string(routing::kMostSlots) +
           " backends, with those that left it and still drain";
  }
  return {};
}

Update Overseer::adopt(std::shared_ptr<const conf::Settings> settings,
                       std::vector<net::SharedTlsIdentity> tls, std::vector<net::SharedTlsTrust> trusts) {
  const auto known = pools_by_name();
  std::vector<std::unique_ptr<Pool>> pools;
  std::vector<std::pair<Pool*, std::vector<health::SlotChange>>> changes;
  for (size_t place = 0; place < settings->pools.size(); ++place) {
    const conf::Pool& said = settings->pools[place];
    const auto found = known.find(said.name);
    // One that was away, and comes back with other keys, finds none of its sessions by them.
    const bool goes_on = found != known.end() && changed_keys(*pools_[found->second]->settings, said).empty();
    Pool* const pool = pools.emplace_back(goes_on ? std::move(pools_[found->second]) : new_pool(said)).get();
    pool->router = std::make_shared<routing::Router>(said, secrets_.keys, secrets_.hash_secret, pool->memory);
    changes.emplace_back(pool, pool->adopt(settings, said, now(), routing::random_seed()));
    pool->trust(std::move(trusts[place]));
  }
  for (std::unique_ptr<Pool>& former : pools_) {
    if (former == nullptr) continue;
    Pool* const pool = pools.emplace_back(std::move(former)).get();
    if (pool->listed) changes.emplace_back(pool, pool->leave(now()));
  }
  pools_ = std::move(pools);
  routes_ = std::make_shared<const routing::Routes>(routing::Routes::from(*settings));
  settings_ = std::move(settings);
  adopt_listeners(std::move(tls));
  for (const auto& [pool, of_pool] : changes) {
    apply(*pool, of_pool);
    withdraw_overdue(*pool);
  }
  watch_names();
  return take_changes();
}

// Of all backends of which anything is left: those that drain may change their addresses too.
void Overseer::watch_names() {
  std::vector<std::string> names;
  for (const auto& pool : pools_) {
    for (const routing::Backend& backend : pool->fleet.backends) {
      if (backend.address.kind == conf::Address::Kind::host) names.push_back(backend.address.host);
    }
  }
  resolver_.watch(names);
}

// Connections to an address that a backend's name has no more are not used again: who has it now may be
// anybody.
void Overseer::on_address_lost(const std::string& name) {
  for (const auto& pool : pools_) {
    for (routing::Backend& backend : pool->fleet.backends) {
      if (backend.address.kind != conf::Address::Kind::host || backend.address.host != name) continue;
      ++backend.lost_addresses;
      pool->is_changed = changed_ = true;
      spdlog::info("pool {}: backend {} has moved: {} has another address now", pool->settings->name,
                   backend.name, name);
    }
  }
}

// A listener is known by its address, whatever its name.
void Overseer::adopt_listeners(std::vector<net::SharedTlsIdentity> tls) {
  std::vector<Listener> former = std::exchange(listeners_, {});
  std::unordered_map<std::string, std::vector<Listener*>> known;  // the first comes last, and is taken first
  for (auto listener = former.rbegin(); listener != former.rend(); ++listener) {
    if (listener->listed) known[listener->settings.address.text()].push_back(&*listener);
  }
  for (size_t place = 0; place < settings_->listeners.size(); ++place) {
    const conf::Listener& said = settings_->listeners[place];
    Listener& listener = listeners_.emplace_back();
    listener.settings = said;
    listener.tls = std::move(tls[place]);
    std::vector<Listener*>& same = known[said.address.text()];
    if (same.empty()) continue;
    listener.meter = std::move(same.back()->meter);
    same.pop_back();
  }
  for (Listener& listener : former) {
    if (listener.meter == nullptr) continue;  // it goes on
    listener.listed = false;
    listeners_.push_back(std::move(listener));
  }
}

void Overseer::show(std::vector<net::SharedTlsIdentity> tls) {
  for (size_t place = 0; place < tls.size(); ++place) listeners_[place].tls = std::move(tls[place]);
  changed_ = true;
}

std::unique_ptr<Overseer::Pool> Overseer::new_pool(const conf::Pool& settings) {
  auto pool = std::make_unique<Pool>();
  pool->id = ++last_id_;
  pool->memory = routing::Router::new_memory(settings);
  for (size_t i = 0; i < workers_; ++i) pool->meters.push_back(std::make_shared<proxy::PoolMeter>());
  by_id_[pool->id] = pool.get();
  return pool;
}

// All that workers are to know, and has not been published.
Update Overseer::take_changes() {
  changed_ = false;
  auto plan = std::make_shared<proxy::Plan>();
  plan->settings = settings_;
  plan->routes = routes_;
  for (const Listener& listener : listeners_) {
    if (!listener.listed) continue;
    plan->listeners.push_back(listener.meter);
    plan->tls.push_back(listener.tls);
  }
  for (const auto& pool : pools_) plan->pools.push_back(pool->publish());
  return {.plan = std::move(plan), .withdrawn = std::exchange(withdrawn_, {})};
}

void Overseer::publish_changes() {
  if (changed_) publish_(take_changes());
}

std::unordered_map<std::string_view, size_t> Overseer::pools_by_name() const {
  std::unordered_map<std::string_view, size_t> known;
  for (size_t i = 0; i < pools_.size(); ++i) known.emplace(pools_[i]->settings->name, i);
  return known;
}

Overseer::Pool* Overseer::find_pool(const std::string& name) const {
  const auto found = std::find_if(pools_.begin(), pools_.end(),
                                  [&](const auto& pool) { return pool->settings->name == name; });
  return found == pools_.end() ? nullptr : found->get();
}

Overseer::Pool* Overseer::find_pool(size_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

// ---- evidence

void Overseer::on_evidence(size_t pool, routing::Slot slot, const health::Evidence& evidence) {
  const auto take = [this, pool, slot, evidence](bool open) {
    evidence_waiting_.fetch_sub(1);
    Pool* const told = open ? find_pool(pool) : nullptr;
    if (told == nullptr || !told->has(slot)) return;
    told->health->answered(slot, status::last_answered(told->meters, slot));
    apply(*told, slot, told->health->told(slot, evidence, now()));
    if (told->health->take_due(slot, now())) begin_check(*told, slot);
  };
  if (evidence_waiting_.fetch_add(1) >= kMostEvidence || !calls_.post(take)) evidence_waiting_.fetch_sub(1);
}

void Overseer::begin_check(Pool& pool, routing::Slot slot) {
  Pool::Backend& backend = pool.backends[slot];
  if (!backend.probe) backend.probe = std::make_unique<Probe>(loop_, resolver_, descriptors_, tls_room_);
  const conf::HealthCheck question = (*pool.health)[slot].question();
  backend.instances.asks(question);
  const unsigned version = pool.settings->send_proxy;
  backend.probe->start({pool.fleet.backends[slot].address, question, pool.connector.get(),
                        version == 0 ? std::string() : proxy::own_proxy_header(version)},
                       this, tag_of(pool.id, slot));
}

void Overseer::on_probed(uint64_t tag, const health::CheckResult& result, uint64_t microseconds) {
  Pool& pool = *find_pool(tag >> 16);  // a pool that is over has no probe
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

bool Overseer::is_restarted(Pool& pool, routing::Slot slot, const health::CheckResult& result) {
  health::Instances& instances = pool.backends[slot].instances;
  const std::string before = instances.doubt();
  const bool restarted = instances.saw(result.instance);
  if (const std::string doubt = instances.doubt(); !doubt.empty() && doubt != before)
    spdlog::warn("pool {}: backend {}: {}", pool.settings->name, pool.fleet.backends[slot].name, doubt);
  return restarted;
}

// ---- what changes

void Overseer::tell_restart(Pool& pool, routing::Slot slot) {
  routing::Homes& homes = pool.table().homes();
  homes.put_at_risk(slot);
  homes.set_shaken(slot, unix_seconds());
  const std::string news = pool.backends[slot].instances.news();
  spdlog::warn("pool {}: backend {} was restarted between two checks ({}); it has {}", pool.settings->name,
               pool.fleet.backends[slot].name, news, conf::counted(homes.live(slot), "session"));
  tell(incidents_.restarted(pool.where(slot), news, pool.standing(slot, now()), unix_seconds()));
}

void Overseer::apply(Pool& pool, const std::vector<health::SlotChange>& changes) {
  for (const auto& [slot, change] : changes) apply(pool, slot, change);
}

void Overseer::apply(Pool& pool, routing::Slot slot, const health::Changed& change) {
  if (!change) return;
  pool.is_changed = changed_ = true;
  pool.health->put_into(pool.fleet, slot, now());
  Pool::Backend& backend = pool.backends[slot];
  routing::Homes& homes = pool.table().homes();
  const uint32_t sessions = homes.live(slot);
  homes.set_in_service(slot, health::in_service(change->to));
  const std::string& name = pool.fleet.backends[slot].name;
  health::Change told = *change;
  if (const auto unknown = (*pool.health)[slot].unknown(now()))
    told.detail += (told.detail.empty() ? "" : "; ") + health::text(*unknown);
  const bool failed = change->to == routing::BackendState::down && health::in_service(change->from);
  spdlog::log(failed ? spdlog::level::warn : spdlog::level::info,
              "pool {}: backend {} is {} ({}{}{}); it has {}", pool.settings->name, name,
              routing::predicate(told.to), health::text(told.cause), told.detail.empty() ? "" : ": ",
              told.detail, conf::counted(sessions, "session"));
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

void Overseer::tell(const std::vector<health::Notice>& notices) {
  for (const health::Notice& notice : notices) {
    spdlog::log(health::is_routine(notice) ? spdlog::level::info : spdlog::level::warn, "{}",
                health::text(notice));
  }
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
  for (const auto& pool : pools_) {
    for (const routing::Slot slot : pool->health->take_due(now())) begin_check(*pool, slot);
    pool->table().trim(steady_seconds());
  }
  if (++ticks_ % kTicksASecond == 0) each_second();
}

void Overseer::each_second() {
  for (const auto& pool : pools_) {
    pool->table().sweep(steady_seconds());
    std::vector<uint32_t> loads;
    for (size_t i = 0; i < pool->fleet.backends.size(); ++i) {
      const auto slot = static_cast<routing::Slot>(i);
      loads.push_back(pool->table().homes().load(slot));
      pool->health->answered(slot, status::last_answered(pool->meters, slot));
    }
    apply(*pool, pool->health->tick(loads, now()));
    withdraw_overdue(*pool);
    for (size_t i = 0; i < pool->fleet.backends.size(); ++i) {
      const auto slot = static_cast<routing::Slot>(i);
      if (pool->fleet.backends[i].is_free()) continue;
      tell(incidents_.tick(pool->where(slot), pool->standing(slot, now()), unix_seconds()));
    }
    tell(incidents_.tick(pool->where_gone(), pool->standing_gone(), unix_seconds()));
    if (ticks_ % (kTicksASecond * status::kSampleSeconds) == 0) pool->take_sample(std::time(nullptr));
    retire(*pool);
    pool->is_changed = pool->health->put_into(pool->fleet, now()) || pool->is_changed;
    changed_ = changed_ || pool->is_changed;
  }
  // Session tables are large, and the heap would keep what they leave.
  const auto is_freed = [](const std::weak_ptr<routing::Memory>& memory) { return memory.expired(); };
  if (std::erase_if(ended_, is_freed) != 0) malloc_trim(0);
  for (size_t i = pools_.size(); i-- > 0;) {
    if (pools_[i]->is_over()) end(i);
  }
  std::erase_if(listeners_, [](const Listener& listener) {
    return !listener.listed && listener.meter->connections.load(std::memory_order_relaxed) == 0;
  });
}

void Overseer::end(size_t place) {
  const std::unique_ptr<Pool> pool = std::move(pools_[place]);
  pools_.erase(pools_.begin() + static_cast<ptrdiff_t>(place));
  by_id_.erase(pool->id);
  ended_.push_back(pool->memory);
  changed_ = true;
  const std::string& name = pool->settings->name;
  if (find_pool(name) == nullptr) incidents_.forget_pool(name);
  spdlog::info("pool {}: nothing is left of it", name);
}

// Ends what is gone of it.
void Overseer::retire(Pool& pool) {
  if (const std::vector<routing::Slot> gone = pool.gone(); !gone.empty()) {
    for (const routing::Slot slot : gone) incidents_.forget(pool.where(slot), unix_seconds());
    pool.free(gone);
    watch_names();
  }
  pool.drop_unused();
}

}  // namespace limpet
