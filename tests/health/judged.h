// A judge with short rules, and a clock to go with it.
#pragma once

#include <string>
#include <utility>

#include "health/judge.h"

namespace limpet::health::test {

inline Rules short_rules() {
  Rules rules;
  rules.check.kind = conf::HealthCheck::Kind::http;
  rules.check.interval = conf::Duration(5000);
  rules.check.fast_interval = conf::Duration(1000);
  rules.check.rise = 2;
  rules.check.fall = 3;
  rules.passive.failures = 5;
  rules.passive.window = conf::Duration(10'000);
  rules.drain_timeout = 60'000;
  return rules;
}

struct Judged {
  explicit Judged(Rules with = short_rules()) : judge(std::move(with), 0, 1) {}

  Changed pass(int times = 1) { return check({CheckResult::Kind::pass, ""}, times); }
  Changed fail(int times = 1) { return check({CheckResult::Kind::fail, "connection refused"}, times); }
  Changed ask() { return check({CheckResult::Kind::drain, "answered 503"}, 1); }
  Changed check(const CheckResult& result, int times) {
    Changed last;
    while (times-- > 0) {
      if (auto change = judge.checked(result, now)) last = change;
    }
    return last;
  }
  Changed requests_fail(int times = 1, bool may_go_down = true) {
    Changed last;
    while (times-- > 0) {
      if (auto change = judge.failed("timeout", may_go_down, now)) last = change;
    }
    return last;
  }
  // Empty: accepted.
  std::string order(Order it) { return judge.order(it, "ada", now).refusal; }
  Changed tick(uint64_t sessions) { return judge.tick(sessions, now); }

  BackendState state() const { return judge.state(); }

  Millis now = 0;
  Judge judge;
};

}  // namespace limpet::health::test
