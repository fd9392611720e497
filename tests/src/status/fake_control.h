// A balancer made up for the tests of what shows it: two pools, a backend in each state, a drain, incidents,
// and every count different from every other, so that what is shown in another's place is found out.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "src/status/control.h"

namespace limpet::test {

using routing::BackendState;
using routing::Event;

// Counts 1, 2, 3, ... so that each is another.
struct Counting {
  uint64_t next = 1;
  uint64_t operator()() { return next++; }

  routing::Books books() {
    routing::Books made;
    for (size_t i = 0; i < routing::kEvents; ++i) {
      made.returned.counts[i] = (*this)();
      made.all.counts[i] = made.returned.counts[i] + (*this)();
    }
    return made;
  }
  status::HistogramReport histogram() {
    status::HistogramReport made;
    for (uint64_t& count : made.counts) count = (*this)();
    made.sum_us = (*this)() * 1'000'003;
    return made;
  }
};

inline status::RequestReport request_report(Counting& count) {
  status::RequestReport made;
  for (uint64_t& answers : made.answers) answers = count();
  for (uint64_t& failures : made.failures) failures = count();
  made.failed = count();
  made.retried = count();
  made.bytes_in = count();
  made.bytes_out = count();
  made.in_flight = count();
  made.latency = count.histogram();
  return made;
}

inline status::BackendReport backend_report(Counting& count, const std::string& name, BackendState state) {
  status::BackendReport made;
  made.name = name;
  made.address = "10.0.0." + std::to_string(count()) + ":8080";
  made.state = state;
  made.since = 1'700'000'000 + static_cast<int64_t>(count());
  made.weight = static_cast<uint32_t>(100 + count());
  made.max_sessions = static_cast<uint32_t>(100'000 + count());
  made.sessions = {.books = count.books(),
                   .arrived = count(),
                   .live = 1000 + count(),
                   .live_returned = 500 + count(),
                   .in_service = state == BackendState::up || state == BackendState::draining};
  const uint64_t live = made.sessions.live, returned = made.sessions.live_returned;
  made.sessions.at_risk.live = made.sessions.in_service ? 30 : live;
  made.sessions.at_risk.returned = made.sessions.in_service ? 20 : returned;
  made.requests = request_report(count);
  made.last_check = status::CheckReport{.passed = state != BackendState::down,
                                        .detail = state == BackendState::down ? "connection refused" : "",
                                        .at = 1'700'000'000,
                                        .microseconds = count() * 1000};
  return made;
}

inline status::PoolReport pool_report(Counting& count, const std::string& name) {
  status::PoolReport made;
  made.name = name;
  made.affinity = {"session-id", "ip"};
  made.storage = "local";
  made.placement = "least-sessions";
  made.failover = "move";
  made.failback = "stay";
  made.sessions = {.books = count.books(),
                   .live = 5000 + count(),
                   .live_returned = 3000 + count(),
                   .at_risk = 1000 + count(),
                   .at_risk_returned = 500 + count(),
                   .imbalance = 0,
                   .entries = 6000 + count(),
                   .bytes = 200'000 + count()};
  made.max_sessions = 1'000'000;
  made.unverified_tokens = count();
  made.guesses_missed = count();
  made.requests = request_report(count);
  for (uint64_t& decisions : made.decisions) decisions = count();
  made.decision_latency = count.histogram();
  made.queue_time = count.histogram();
  made.queue_timeouts = count();
  made.rate_limited = count();
  made.sheds = name == "shop";
  for (int i = 0; i < 3; ++i) {
    status::Sample sample;
    sample.at = 1'700'000'000 + i * status::kSampleSeconds;
    for (uint64_t* value : {&sample.live, &sample.at_risk, &sample.begun, &sample.ended, &sample.lost,
                            &sample.requests, &sample.failed, &sample.p50_us, &sample.p99_us})
      *value = count();
    made.history.push_back(sample);
  }
  return made;
}

inline health::Incident incident(Counting& count, const std::string& pool, const std::string& backend,
                                 health::Incident::Kind kind, bool open) {
  health::Incident made;
  made.id = count();
  made.pool = pool;
  made.backend = backend;
  made.kind = kind;
  made.cause = kind == health::Incident::Kind::outage ? health::Cause::checks : health::Cause::order;
  made.detail = kind == health::Incident::Kind::outage ? "connection refused" : "alice from 127.0.0.1";
  made.opened = static_cast<uint32_t>(1'700'000'000 + count());
  made.closed = open ? 0 : made.opened + static_cast<uint32_t>(count());
  made.end = open ? health::Incident::End::open : health::Incident::End::settled;
  made.at_risk = 100 + count();
  made.at_risk_returned = count();
  made.joined = count();
  made.books = count.books();
  made.left = count();
  made.requests_failed = count();
  made.requests_retried = count();
  return made;
}

// "shop" has one backend in each state; "café/1" has a name that has to be encoded.
inline status::Report made_up_report() {
  Counting count;
  status::Report made;
  made.version = "1.2.3";
  made.now = 1'700'001'000;
  made.started = 1'700'000'001;
  made.loaded = 1'700'000'002;
  made.file = "/etc/limpet/limpet.toml";
  made.workers = 2;
  made.connections = count();
  made.refused_connections = 90'000 + made.connections;
  made.reloads = count();
  made.failed_reloads = count();
  made.dropped_log_lines = count();
  made.dropped_stderr_lines = count();
  made.pools.push_back(pool_report(count, "shop"));
  made.pools.push_back(pool_report(count, "caf\xc3\xa9/1"));

  auto& shop = made.pools[0].backends;
  shop.push_back(backend_report(count, "app-1", BackendState::up));
  shop.push_back(backend_report(count, "app-2", BackendState::draining));
  shop.back().cause = "order";
  shop.back().detail = "alice from 127.0.0.1";
  shop.back().drain = status::DrainReport{.began_with = 2000,
                                          .deadline = 1'700'002'000,
                                          .forecast = {.sessions = 184,
                                                       .polling = 12,
                                                       .ends = 300,
                                                       .is_known = true,
                                                       .gone_50 = 300,
                                                       .gone_90 = 840,
                                                       .gone_99 = {},
                                                       .left_at_deadline = 3,
                                                       .deadline = 1000}};
  shop.push_back(backend_report(count, "app-3", BackendState::down));
  shop.back().cause = "checks";
  shop.back().detail = "connection refused";
  shop.push_back(backend_report(count, "app-4", BackendState::maintenance));
  shop.back().cause = "order";
  shop.back().detail = "bob from 10.1.1.1";
  made.pools[1].backends.push_back(backend_report(count, "a\"b\\c\nd", BackendState::up));

  using enum health::Incident::Kind;
  made.incidents.push_back(incident(count, "shop", "app-3", outage, true));
  made.incidents.push_back(incident(count, "shop", "app-2", drain, true));
  made.incidents.push_back(incident(count, "shop", "app-4", maintenance, false));
  made.incidents.push_back(incident(count, "shop", "app-1", lapse, false));
  made.kept_incidents = count();
  made.open_incidents = count();
  made.losses = {{"shop", outage, health::Cause::checks, 70'000 + count(), 60'000 + count()},
                 {"shop", lapse, health::Cause::start, 50'000 + count(), 40'000 + count()}};
  return made;
}

// Answers what it was given, and remembers what it was asked. From any thread.
class FakeControl final : public status::Control {
 public:
  FakeControl() : report_(made_up_report()) {}

  void set(status::Report report) {
    const std::lock_guard lock(mutex_);
    report_ = std::move(report);
  }
  void answer_orders_with(Done done) {
    const std::lock_guard lock(mutex_);
    done_ = std::move(done);
  }
  void set_ready(bool ready) {
    const std::lock_guard lock(mutex_);
    ready_ = ready;
  }
  std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  // Until it is let go, it makes whoever asks for a report wait, as a main thread does that is busy.
  void hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    let_go_.notify_all();
  }
  // How many wait for it.
  int waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

  status::Report report(size_t most_incidents) override {
    std::unique_lock lock(mutex_);
    ++waiting_;
    let_go_.wait(lock, [this] { return !held_; });
    --waiting_;
    status::Report made = report_;
    made.incidents.resize(std::min(made.incidents.size(), most_incidents));
    return made;
  }
  Done order(const std::string& pool, const std::string& backend, health::Order order,
             const std::string& who) override {
    if (auto wrong = find_place(pool, &backend)) return *wrong;
    return take(std::string(health::text(order)) + "|" + pool + "|" + backend + "|" + who);
  }
  Done unbind(const std::string& pool, const std::string& session, const std::string& who) override {
    if (auto wrong = find_place(pool, nullptr)) return *wrong;
    return take("unbind|" + pool + "|" + session + "|" + who);
  }
  Done pin(const std::string& pool, const std::string& session, const std::string& backend,
           const std::string& who) override {
    if (auto wrong = find_place(pool, &backend)) return *wrong;
    return take("pin|" + pool + "|" + session + "|" + backend + "|" + who);
  }
  Done reload(const std::string& who) override { return take("reload|" + who); }
  std::vector<status::SessionReport> find(const std::string& session) override {
    const std::lock_guard lock(mutex_);
    asked_.push_back("find|" + session);
    if (session != "known key/\xff") return {};
    return {{.pool = "shop",
             .backend = "app-2",
             .why = "moved from app-1",
             .state = BackendState::draining,
             .first_seen = 1'700'000'003,
             .last_seen = 1'700'000'004,
             .returned = true,
             .polls = false}};
  }
  bool ready() override {
    const std::lock_guard lock(mutex_);
    return ready_;
  }

 private:
  // What is wrong with the names, in the report.
  std::optional<Done> find_place(const std::string& pool, const std::string* backend) {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> pools, backends;
    for (const status::PoolReport& one : report_.pools) {
      pools.push_back(one.name);
      if (one.name != pool) continue;
      for (const status::BackendReport& other : one.backends) backends.push_back(other.name);
    }
    if (std::find(pools.begin(), pools.end(), pool) == pools.end())
      return status::unknown("pool", pool, pools);
    if (backend != nullptr && std::find(backends.begin(), backends.end(), *backend) == backends.end())
      return status::unknown("backend", *backend, backends);
    return std::nullopt;
  }

  Done take(std::string what) {
    const std::lock_guard lock(mutex_);
    asked_.push_back(std::move(what));
    return done_;
  }

  mutable std::mutex mutex_;
  std::condition_variable let_go_;
  bool held_ = false;
  int waiting_ = 0;
  status::Report report_;
  Done done_{.good = true, .status = 200, .text = "it is so"};
  bool ready_ = true;
  std::vector<std::string> asked_;
};

}  // namespace limpet::test
