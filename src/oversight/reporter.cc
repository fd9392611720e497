#include "src/oversight/reporter.h"

#include <algorithm>
#include <ctime>
#include <unordered_set>

#include "conf/words.h"
#include "health/forecast.h"
#include "routing/seconds.h"

namespace limpet {

namespace {

constexpr uint64_t kForecastEvery = 5000;  // milliseconds

status::CertificateReport report_of(const net::Certificate& shown) {
  return {shown.file, shown.names, shown.not_before, shown.not_after};
}

status::TlsReport tls_at(const Publisher::Listener& listener) {
  status::TlsReport out;
  for (size_t i = 0; i < out.handshakes.size(); ++i)
    out.handshakes[i] = listener.meter->handshakes[i].load(std::memory_order_relaxed);
  out.files = files_of(*listener.tls);
  return out;
}

status::TlsFilesReport tls_of(const net::TlsTrust& trust) {
  status::TlsFilesReport out;
  if (trust.certificate != nullptr) out.certificates.push_back(report_of(*trust.certificate));
  if (trust.authorities != nullptr) out.authorities = {trust.authorities->file};
  return out;
}

}  // namespace

status::TlsFilesReport files_of(const net::TlsIdentity& identity) {
  status::TlsFilesReport out;
  for (const net::SharedCertificate& shown : identity.certificates)
    out.certificates.push_back(report_of(*shown));
  if (const auto& believed = identity.client_authorities) out.authorities = {believed->file};
  return out;
}

int64_t Reporter::unix_at(uint64_t then) const {
  return std::time(nullptr) + (static_cast<int64_t>(then) - static_cast<int64_t>(now())) / 1000;
}

void Reporter::report(status::Report& report, size_t most_incidents) {
  for (const Publisher::Listener& listener : publisher_.listeners()) {
    report.listeners.push_back({listener.settings.name, listener.settings.address.text(), listener.listed,
                                listener.meter->connections.load(std::memory_order_relaxed)});
    auto& refused = report.listeners.back().refused;
    for (size_t i = 0; i < refused.size(); ++i)
      refused[i] = listener.meter->refused[i].load(std::memory_order_relaxed);
    auto& abuse = report.listeners.back().http2_abuse;
    for (size_t i = 0; i < abuse.size(); ++i)
      abuse[i] = listener.meter->abused[i].load(std::memory_order_relaxed);
    if (listener.tls != nullptr) report.listeners.back().tls = tls_at(listener);
  }
  std::unordered_set<std::string_view> names;
  for (OverseenPool* const pool : pools_.latest()) {
    names.insert(pool->settings->name);
    report.pools.push_back(report_pool(*pool));
  }
  const auto& recent = incidents_.recent();
  const size_t told = std::min(most_incidents, recent.size());
  report.incidents.assign(recent.rbegin(), recent.rbegin() + static_cast<ptrdiff_t>(told));
  report.kept_incidents = recent.size();
  report.open_incidents = static_cast<uint64_t>(
      std::count_if(recent.begin(), recent.end(), [](const auto& incident) { return incident.closed == 0; }));
  report.losses = incidents_.losses();
  std::erase_if(report.losses, [&](const health::Losses& of) { return !names.contains(of.pool); });
}

status::PoolReport Reporter::report_pool(OverseenPool& pool) {
  status::PoolReport out;
  const conf::Pool& settings = *pool.settings;
  out.name = settings.name;
  out.listed = pool.listed;
  for (const conf::AffinityKind kind : settings.affinity) out.affinity.emplace_back(conf::text(kind));
  out.storage = conf::text(settings.storage);
  out.placement = conf::text(settings.placement);
  out.failover = conf::text(settings.failover);
  out.failback = conf::text(settings.failback);
  out.sessions = pool.table().census();
  out.max_sessions = settings.max_sessions;
  out.unverified_tokens = pool.memory->unverified_tokens;
  out.guesses_missed = pool.memory->guesses_missed;
  out.requests = status::requests_of_all(pool.meters, pool.slots_ever);
  status::add_decisions(pool.meters, out);
  out.sheds = pool.plan != nullptr && pool.plan->sheds(now());
  if (pool.tls != nullptr) out.tls = tls_of(*pool.tls);
  forecast_drains(pool);
  for (size_t i = 0; i < pool.fleet.backends.size(); ++i) {
    const auto slot = static_cast<routing::Slot>(i);
    if (pool.fleet.backends[i].is_free()) continue;
    incidents_.refresh(pool.where(slot), pool.standing(slot, now()), unix_seconds());
    if (!pool.is_gone(slot)) out.backends.push_back(report_backend(pool, slot));
  }
  for (size_t i = 0; i < pool.history.size(); ++i)
    out.history.push_back(pool.history[(pool.next_sample + i) % pool.history.size()]);
  return out;
}

status::BackendReport Reporter::report_backend(const OverseenPool& pool, routing::Slot slot) const {
  const routing::Backend& backend = pool.fleet.backends[slot];
  const health::Judge& judge = (*pool.health)[slot];
  status::BackendReport out;
  out.name = backend.name;
  out.address = backend.address.text();
  out.listed = backend.listed;
  out.state = judge.state();
  out.cause = health::text(judge.cause());
  out.detail = judge.detail();
  out.since = unix_at(judge.since());
  out.held = judge.is_held();
  out.doubt = doubt(pool, slot);
  out.weight = backend.weight;
  out.warmth = backend.warmth;
  out.max_sessions = backend.max_sessions;
  out.max_connections = backend.max_connections;
  out.waiting = pool.memory->permits->waiting(slot);
  out.sessions = pool.census(slot);
  out.requests = pool.requests(slot);
  out.last_check = pool.backends[slot].last_check;
  if (judge.state() == routing::BackendState::draining) out.drain = report_drain(pool, slot);
  return out;
}

std::string Reporter::doubt(const OverseenPool& pool, routing::Slot slot) const {
  const routing::Backend& backend = pool.fleet.backends[slot];
  const std::string wrong =
      backend.address.kind == conf::Address::Kind::host ? resolver_.wrong(backend.address.host) : "";
  if (!wrong.empty()) return backend.address.host + " has no address: " + wrong;
  const health::Judge& judge = (*pool.health)[slot];
  std::string doubt = judge.doubt();
  const std::string ignored = pool.backends[slot].instances.doubt();
  if (!ignored.empty() && !judge.question().instance_header.empty())
    doubt += (doubt.empty() ? "" : "; ") + ignored;
  return doubt;
}

status::DrainReport Reporter::report_drain(const OverseenPool& pool, routing::Slot slot) const {
  status::DrainReport out{.began_with = pool.backends[slot].drain_began_with,
                          .deadline = drain_deadline(pool, slot),
                          .unknown = (*pool.health)[slot].unknown(now()),
                          .forecast = pool.backends[slot].forecast};
  out.forecast.sessions = pool.census(slot).live;  // the forecast itself may be some seconds old
  return out;
}

int64_t Reporter::drain_deadline(const OverseenPool& pool, routing::Slot slot) const {
  return unix_at((*pool.health)[slot].drain_deadline().value_or(now()));
}

// A forecast looks at every session of the pool: once for all of its drains, and again when it is
// kForecastEvery old, or when another drain has begun.
void Reporter::forecast_drains(OverseenPool& pool) {
  std::vector<routing::Slot> draining;
  bool is_due = now() - pool.forecast_at >= kForecastEvery;
  for (size_t i = 0; i < pool.fleet.backends.size(); ++i) {
    const auto slot = static_cast<routing::Slot>(i);
    if (pool.fleet.backends[i].is_free()) continue;
    const health::Judge& judge = (*pool.health)[slot];
    if (judge.state() != routing::BackendState::draining) continue;
    draining.push_back(slot);
    is_due = is_due || judge.since() >= pool.forecast_at;
  }
  if (draining.empty() || !is_due) return;
  pool.forecast_at = now();
  const auto history = health::History::from(pool.table().census(), pool.table().pauses());
  const auto sessions = pool.table().sessions_at(draining);
  const uint32_t steady = steady_seconds();
  for (size_t i = 0; i < draining.size(); ++i) {
    const uint64_t deadline = (*pool.health)[draining[i]].drain_deadline().value_or(now());
    const health::Horizon horizon{
        .now = steady,
        .deadline = steady + static_cast<uint32_t>((std::max(deadline, now()) - now()) / 1000),
        .idle_timeout = routing::whole_seconds(pool.settings->idle_timeout),
        .unreturned_timeout = routing::whole_seconds(pool.settings->unreturned_timeout)};
    pool.backends[draining[i]].forecast = health::forecast(history, sessions[i], horizon);
  }
}

bool Reporter::ready() const {
  return std::all_of(pools_.all().begin(), pools_.all().end(), [](const auto& pool) {
    const auto& backends = pool->fleet.backends;
    return !pool->listed ||
           std::any_of(backends.begin(), backends.end(),
                       [](const routing::Backend& backend) { return backend.takes_new_sessions(); });
  });
}

std::vector<status::SessionReport> Reporter::find(const std::string& session) const {
  std::vector<status::SessionReport> found;
  for (const OverseenPool* const pool : pools_.latest()) {
    const routing::Now now = both_clocks();
    const auto view = pool->router->find(session, now);
    if (!view || view->home == routing::kNoSlot) continue;
    status::SessionReport& out = found.emplace_back();
    out.pool = pool->settings->name;
    out.state = routing::BackendState::down;  // of a backend that was never in this process
    if (view->home < pool->fleet.backends.size()) {
      out.backend = pool->fleet.backends[view->home].name;
      out.state = (*pool->health)[view->home].state();
    }
    out.why = status::why_there(*view, pool->fleet, out.state);
    out.first_seen = now.wall - routing::elapsed(view->first_seen, now.steady);
    out.last_seen = now.wall - routing::elapsed(view->last_seen, now.steady);
    out.returned = view->returned;
    out.polls = view->polls;
  }
  return found;
}

}  // namespace limpet
