// A judge with short rules, and a clock to go with it.
#pragma once

#include <string>
#include <utility>

#include "health/judge.h"

namespace limpet::health::test {

inline Rules short_rules() {
  Rules rules;
  rules.check.kind = conf::HealthCheck::Kind::http;
  rules.check.path = "/health";
  rules.check.interval = conf::Duration(5000);
  rules.check.fast_interval = conf::Duration(1000);
  rules.check.rise = 2;
  rules.check.fall = 3;
  rules.passive.failures = 5;
  rules.passive.window = conf::Duration(10'000);
  rules.drain_timeout = 60'000;
  return rules;
}

inline Rules without_checks() {
  Rules rules = short_rules();
  rules.check.kind = conf::HealthCheck::Kind::none;
  return rules;
}

struct Judged {
  static constexpr Millis kStart = 100'000;

  explicit Judged(Rules with = short_rules()) : judge(std::move(with), kStart, 1) {}

  // Questions that are put and answered now.
  Changed pass(int times = 1) { return check({CheckResult::Kind::pass, ""}, times); }
  Changed fail(int times = 1) { return check({CheckResult::Kind::fail, "connection refused"}, times); }
  Changed time_out(int times = 1) {
    return check({CheckResult::Kind::timeout, "no answer within 2s", false, true}, times);
  }
  Changed ask() { return check({CheckResult::Kind::drain, "answered 503"}, 1); }
  Changed check(const CheckResult& result, int times) {
    Changed last;
    while (times-- > 0) {
      if (auto change = judge.checked(result, may_go_down, now)) last = change;
    }
    return last;
  }
  // Timeouts, each beside a request that was answered meanwhile.
  Changed time_out_alone(int times = 1) {
    Changed last;
    while (times-- > 0) {
      answered();
      if (auto change = time_out()) last = change;
    }
    return last;
  }

  // Requests, of a client each.
  void request_fails(uint64_t client = 1) { request_fails(client, now); }
  Changed request_fails(uint64_t client, Millis at, bool refused = false) {
    return judge.told(
        {Evidence::Kind::failed, client, at, refused ? "no connection" : "no answer in time", refused}, now);
  }
  Changed request_is_refused(Millis at) { return request_fails(1, at, true); }
  Changed request_is_refused() { return request_is_refused(now); }
  // By somebody who does not answer as he should.
  Changed fail_connected(int times = 1) {
    return check({CheckResult::Kind::fail, "the connection ended", false, true}, times);
  }
  Changed answer_in_another_protocol() {
    return check({CheckResult::Kind::fail, "it does not speak HTTP/2", false, true, true}, 1);
  }
  Changed refuse() { return check({CheckResult::Kind::fail, "connection refused", true}, 1); }
  void crowd_fails(uint64_t clients = 5) {
    ++now;  // after what was answered
    for (uint64_t client = 1; client <= clients; ++client) request_fails(client);
  }
  void request_waits(Millis since) { judge.told({Evidence::Kind::waits, 0, since}, now); }
  void request_is_doubtful() { judge.told({Evidence::Kind::doubtful, 0, now}, now); }
  void answered() {
    ++now;  // than what failed
    answered(now);
  }
  void answered(Millis begun) { judge.answered({begun, now}); }

  // Empty: accepted.
  std::string order(Order it) { return judge.order(it, "ada", now).refusal; }
  Changed tick(uint64_t sessions) { return judge.tick(sessions, now); }

  BackendState state() const { return judge.state(); }
  bool is_up() const { return state() == BackendState::up; }
  bool is_down() const { return state() == BackendState::down; }
  bool is_due() const { return judge.next_check() && *judge.next_check() <= now; }

  Millis now = kStart;
  bool may_go_down = true;  // on weak evidence
  Judge judge;
};

}  // namespace limpet::health::test
