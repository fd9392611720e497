// When a judge wants checks, when drains are over, and how a backend warms up.

#include <doctest/doctest.h>

#include <set>

#include "tests/health/judged.h"

namespace limpet::health::judge_time_test {

using limpet::health::test::Judged;
using limpet::health::test::short_rules;

// The pause until the next check, which then begins.
Millis next(Judged& it) {
  REQUIRE(it.judge.next_check());
  const Millis pause = *it.judge.next_check() - it.now;
  it.now += pause;
  it.judge.check_begins(it.now);
  return pause;
}

bool about(Millis pause, Millis mean) { return mean * 9 / 10 <= pause && pause <= mean * 11 / 10; }

Rules without_checks() {
  auto rules = short_rules();
  rules.check.kind = limpet::conf::HealthCheck::Kind::none;
  return rules;
}

TEST_CASE("first checks are spread over a second, or over the interval where that is shorter") {
  auto rules = short_rules();
  std::set<Millis> times;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Judge judge(rules, 50, seed);
    REQUIRE(judge.next_check());
    CHECK(*judge.next_check() >= 50);
    CHECK(*judge.next_check() < 1050);
    times.insert(*judge.next_check());
  }
  CHECK(times.size() > 50);
  rules.check.interval = limpet::conf::Duration(100);
  for (uint64_t seed = 0; seed < 100; ++seed) CHECK(*Judge(rules, 50, seed).next_check() < 150);
}

TEST_CASE("checks come at the interval with jitter, and none while one is under way") {
  Judged it;
  next(it);
  CHECK_FALSE(it.judge.next_check());
  it.pass();
  std::set<Millis> pauses;
  for (int i = 0; i < 100; ++i) {
    const Millis pause = next(it);
    CHECK(about(pause, 5000));
    pauses.insert(pause);
    it.pass();
  }
  CHECK(pauses.size() > 20);
}

TEST_CASE("the interval runs from a check's beginning, but the next never comes before its end") {
  Judged it;
  next(it);
  it.now += 2000;
  it.pass();
  CHECK(about(*it.judge.next_check() - it.now + 2000, 5000));
  next(it);
  it.now += 20'000;
  it.pass();
  CHECK(*it.judge.next_check() == it.now);
}

TEST_CASE("checks come faster while a fall or a rise is under way") {
  Judged it;
  next(it);
  it.pass();
  next(it);
  it.fail();
  for (int i = 0; i < 2; ++i) {
    CHECK(about(next(it), 1000));
    it.fail();
  }
  CHECK(it.state() == BackendState::down);
  CHECK(about(next(it), 1000));
  it.pass();
  CHECK(about(next(it), 1000));
  it.pass();
  CHECK(it.state() == BackendState::up);
  CHECK(about(next(it), 5000));
}

TEST_CASE("what requests took down is checked soon") {
  Judged it;
  next(it);
  it.pass();
  it.requests_fail(5);
  CHECK(about(next(it), 1000));
}

TEST_CASE("where no checks are configured, only a backend that is down is checked") {
  Judged it(without_checks());
  CHECK_FALSE(it.judge.next_check());
  it.requests_fail(5);
  while (it.now < Verdict::kFirstHold) {
    CHECK(it.state() == BackendState::down);
    CHECK(about(next(it), 1000));
    it.pass();
  }
  CHECK(it.state() == BackendState::up);
  CHECK_FALSE(it.judge.next_check());
  it.requests_fail(5);
  CHECK(about(*it.judge.next_check() - it.now, 1000));
}

TEST_CASE("a backend that checks took down is checked on when a reload takes the checks away") {
  Judged it;
  next(it);
  it.fail();
  it.judge.reconfigure(without_checks(), it.now);
  CHECK(it.state() == BackendState::down);
  CHECK(it.judge.next_check());
  it.pass(2);
  CHECK(it.state() == BackendState::up);
  CHECK_FALSE(it.judge.next_check());
}

TEST_CASE("what has left the file and is drained is checked no more, until the file names it again") {
  Judged it;
  it.judge.remove(it.now);
  CHECK(it.judge.next_check());
  it.now += Judge::kSettling;
  it.tick(0);
  CHECK_FALSE(it.judge.next_check());
  it.judge.unremove(it.now);
  CHECK(it.judge.next_check());
}

TEST_CASE("a shorter interval after a reload takes effect at once, and the state stays") {
  Judged it;
  it.judge.order(Order::drain, "ada", it.now);
  next(it);
  it.pass();
  auto rules = short_rules();
  rules.check.interval = limpet::conf::Duration(100);
  rules.drain_timeout = 9000;
  it.judge.reconfigure(rules, it.now);
  CHECK(about(next(it), 100));
  CHECK(it.state() == BackendState::draining);
  CHECK(it.judge.drain_deadline() == 9000);
}

TEST_CASE("a drain is over at zero sessions, but not before the workers have heard of it") {
  Judged it;
  it.order(Order::drain);
  CHECK_FALSE(it.tick(0));
  it.now = Judge::kSettling;
  CHECK_FALSE(it.tick(1));
  const Changed over = it.tick(0);
  REQUIRE(over);
  CHECK(over->to == BackendState::maintenance);
  CHECK(over->cause == Cause::drained);
  CHECK(over->detail == "ada");
  CHECK_FALSE(it.tick(1));  // it stays over
  CHECK(it.state() == BackendState::maintenance);
}

TEST_CASE(
    "the deadline of a drain that is over still follows the file: what its sessions left behind lasts until "
    "then") {
  Judged it;
  it.now = 1000;
  it.order(Order::drain);
  it.now += Judge::kSettling;
  it.tick(0);
  CHECK(it.state() == BackendState::maintenance);
  CHECK(it.judge.drain_deadline() == 61'000);
  auto rules = short_rules();
  rules.drain_timeout = 9000;
  it.judge.reconfigure(rules, it.now);
  CHECK(it.judge.drain_deadline() == 10'000);
}

TEST_CASE("a drain is over at its deadline, sessions or not") {
  Judged it;
  it.order(Order::drain);
  CHECK(it.judge.drain_deadline() == 60'000);
  it.now = 59'999;
  CHECK_FALSE(it.tick(4));
  it.now = 60'000;
  const Changed over = it.tick(4);
  REQUIRE(over);
  CHECK(over->cause == Cause::drain_timeout);
  CHECK(it.judge.drain_deadline() == 60'000);
  it.order(Order::undrain);
  CHECK_FALSE(it.judge.drain_deadline());
}

TEST_CASE(
    "a drain that a check's answer asks for goes on without sessions, for the backend may take it back") {
  Judged it;
  it.ask();
  it.now = 59'999;
  it.tick(0);
  CHECK(it.state() == BackendState::draining);
  it.now = 60'000;
  it.tick(0);
  CHECK(it.state() == BackendState::maintenance);
  it.pass();
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("each drain has its own deadline, and the first that is over decides") {
  Judged it;
  it.order(Order::drain);
  it.now = 20'000;
  it.judge.remove(it.now);
  CHECK(it.judge.drain_deadline() == 60'000);
  it.now = 60'000;
  it.tick(1);
  CHECK(it.state() == BackendState::maintenance);
  it.order(Order::undrain);
  CHECK(it.state() == BackendState::draining);  // the file's own goes on
  CHECK(it.judge.drain_deadline() == 80'000);
}

TEST_CASE("a backend that comes back warms up evenly through slow_start; one that never left is warm") {
  auto rules = short_rules();
  rules.slow_start = 10'000;
  Judged it(rules);
  CHECK(it.judge.warmth(0) == 100);
  it.fail();
  it.now = 3000;
  it.pass(2);
  CHECK(it.judge.warmth(3000) == 1);
  CHECK(it.judge.warmth(8000) == 50);
  CHECK(it.judge.warmth(12'999) == 99);
  CHECK(it.judge.warmth(13'000) == 100);
  it.order(Order::drain);
  it.order(Order::undrain);
  CHECK(it.judge.warmth(8000) == 50);  // draining is service
  it.order(Order::maintenance);
  it.now = 50'000;
  it.order(Order::up);
  it.pass(2);
  CHECK(it.judge.warmth(50'000) == 1);
}

TEST_CASE("without slow_start a backend is warm at once") {
  Judged it;
  it.fail();
  it.pass(2);
  CHECK(it.judge.warmth(it.now) == 100);
}

}  // namespace limpet::health::judge_time_test
