// What it takes to call a backend down, and to call it up again.

#include <doctest/doctest.h>

#include "tests/health/judged.h"

namespace limpet::health::judge_evidence_test {

using limpet::health::test::Judged;
using limpet::health::test::short_rules;

TEST_CASE("a backend begins up, and the first check decides at once") {
  Judged good, bad;
  CHECK(good.state() == BackendState::up);
  CHECK_FALSE(good.pass());
  CHECK(bad.fail());
  CHECK(bad.state() == BackendState::down);
}

TEST_CASE("after the first check it takes `fall` failures in succession, and a pass in between clears them") {
  Judged it;
  it.pass();
  it.fail(2);
  it.pass();
  it.fail(2);
  CHECK(it.state() == BackendState::up);
  it.fail();
  CHECK(it.state() == BackendState::down);
}

TEST_CASE("a check that could not be asked is no verdict, and is followed by the next one") {
  Judged good, bad, new_one;
  const auto unasked = [](Judged& it) {
    return it.check({CheckResult::Kind::unasked, "too many open files"}, 10);
  };
  good.pass();
  good.fail(2);
  CHECK_FALSE(unasked(good));
  CHECK(good.state() == BackendState::up);
  good.fail();  // the third in succession all the same
  CHECK(good.state() == BackendState::down);
  CHECK(good.judge.detail() == "connection refused");
  bad.fail();
  bad.pass();
  unasked(bad);
  CHECK(bad.state() == BackendState::down);
  bad.pass();
  CHECK(bad.state() == BackendState::up);
  unasked(new_one);
  CHECK(new_one.state() == BackendState::up);
  CHECK(new_one.fail());  // its first check
  bad.ask();
  unasked(bad);
  CHECK(bad.state() == BackendState::draining);

  good.now = 70'000;
  CHECK_FALSE(unasked(good));
  REQUIRE(good.judge.next_check());
  CHECK(*good.judge.next_check() > good.now);
  CHECK(*good.judge.next_check() <= good.now + 2000);  // about fast_interval, for it is down
}

TEST_CASE("it comes back after `rise` passes in succession") {
  Judged it;
  it.fail();
  it.pass();
  it.fail();
  it.pass();
  CHECK(it.state() == BackendState::down);
  it.pass();
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("an answer that asks for draining is a pass, and drains once the backend is up") {
  Judged it;
  it.fail();
  it.ask();
  CHECK(it.state() == BackendState::down);
  it.ask();
  CHECK(it.state() == BackendState::draining);
  CHECK(it.judge.cause() == Cause::answer);
  CHECK(it.judge.detail() == "answered 503");
  it.fail();
  CHECK(it.state() == BackendState::draining);  // a failure takes nothing back
  it.pass();
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("requests that fail in succession within the window take it down") {
  Judged it;
  it.pass();
  it.requests_fail(4);
  it.judge.succeeded();
  it.requests_fail(4);
  CHECK(it.state() == BackendState::up);
  it.now = 10'001;  // the four are too old
  it.requests_fail(4);
  CHECK(it.state() == BackendState::up);
  it.now = 20'001;
  const Changed change = it.requests_fail();
  REQUIRE(change);
  CHECK(change->to == BackendState::down);
  CHECK(change->cause == Cause::requests);
  CHECK(change->detail == "timeout");
}

TEST_CASE("where passive failures are off, requests take nothing down") {
  auto rules = short_rules();
  rules.passive.failures = 0;
  Judged it(rules);
  it.requests_fail(1000);
  CHECK(it.state() == BackendState::up);
  CHECK_FALSE(it.judge.is_held());
}

TEST_CASE("what the pool's limit forbids is held, and done at the next failure once it is allowed") {
  Judged it;
  it.requests_fail(7, false);
  CHECK(it.state() == BackendState::up);
  CHECK(it.judge.is_held());
  it.requests_fail(1, true);
  CHECK(it.state() == BackendState::down);
  CHECK_FALSE(it.judge.is_held());
}

TEST_CASE("what is held is held no longer after a success, or once the failures are too old") {
  Judged it;
  it.requests_fail(5, false);
  it.judge.succeeded();
  CHECK_FALSE(it.judge.is_held());
  it.requests_fail(5, false);
  it.now = 10'000;
  it.tick(0);
  CHECK(it.judge.is_held());
  it.now = 10'001;
  it.tick(0);
  CHECK_FALSE(it.judge.is_held());
}

TEST_CASE("after failed requests it comes back by checks, not before the hold is over") {
  Judged it;
  it.requests_fail(5);
  it.pass(9);
  CHECK(it.state() == BackendState::down);
  it.now = Verdict::kFirstHold - 1;
  it.pass();
  CHECK(it.state() == BackendState::down);
  it.now = Verdict::kFirstHold;
  it.pass();
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("after refused connections there is no hold: a check that connects shows the contrary") {
  Judged it;
  for (uint32_t i = 0; i < short_rules().passive.failures; ++i)
    it.judge.failed("refused", true, it.now, true);
  REQUIRE(it.state() == BackendState::down);
  it.pass(short_rules().check.rise);
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("the hold doubles each time that requests fail without one that succeeded, up to its longest") {
  Judged it;
  Millis hold = Verdict::kFirstHold;
  for (int time = 0; time < 9; ++time) {
    it.requests_fail(5);
    const Millis until = it.now + hold;
    it.now = until - 1;
    it.pass(2);
    CHECK(it.state() == BackendState::down);
    it.now = until;
    it.pass();
    CHECK(it.state() == BackendState::up);
    hold = std::min(2 * hold, Verdict::kLongestHold);
  }
  CHECK(hold == Verdict::kLongestHold);
  it.judge.succeeded();
  it.requests_fail(5);
  it.now += Verdict::kFirstHold;
  it.pass(2);
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("a request that succeeds while the backend is down says nothing: it was begun before") {
  Judged it;
  it.requests_fail(5);
  it.judge.succeeded();
  CHECK(it.state() == BackendState::down);
  it.now = Verdict::kFirstHold;
  it.pass(2);
  it.requests_fail(5);
  it.now += Verdict::kFirstHold;
  it.pass(2);
  CHECK(it.state() == BackendState::down);  // the hold has doubled
}

TEST_CASE("an order to be up leads back into service once checks have passed, whatever went before") {
  Judged it;
  it.pass(5);
  it.order(Order::maintenance);
  it.pass(5);
  it.now = 1234;
  CHECK(it.order(Order::up).empty());
  CHECK(it.state() == BackendState::down);
  CHECK((it.judge.cause() == Cause::order && it.judge.detail() == "ada"));
  CHECK(it.judge.next_check() == 1234);
  it.pass();
  CHECK(it.state() == BackendState::down);
  it.fail(2);
  CHECK(it.judge.cause() == Cause::order);
  it.fail();
  CHECK(it.judge.cause() == Cause::checks);
  it.pass(2);
  CHECK((it.state() == BackendState::up && it.judge.cause() == Cause::checks));
}

TEST_CASE("an order to be up ends the hold that failed requests cost, and all counts begin again") {
  Judged it;
  it.requests_fail(5);
  it.order(Order::up);
  CHECK(it.state() == BackendState::down);
  it.pass(2);
  CHECK(it.state() == BackendState::up);
  it.fail(2);
  it.requests_fail(4);
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("an order to be up takes nothing that serves out of service") {
  Judged it;
  it.order(Order::drain);
  it.order(Order::up);
  CHECK(it.state() == BackendState::up);
  it.order(Order::up);
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("where no checks are configured an order to be up is obeyed at once") {
  auto rules = short_rules();
  rules.check.kind = limpet::conf::HealthCheck::Kind::none;
  Judged it(rules);
  for (const auto& leave :
       {+[](Judged& one) { one.requests_fail(5); }, +[](Judged& one) { one.order(Order::maintenance); }}) {
    leave(it);
    CHECK_FALSE(in_service(it.state()));
    it.order(Order::up);
    CHECK(it.state() == BackendState::up);
  }
}

TEST_CASE(
    "where no checks are configured a failed connection attempt is no evidence, and `rise` good ones are") {
  auto rules = short_rules();
  rules.check.kind = limpet::conf::HealthCheck::Kind::none;
  Judged it(rules);
  it.requests_fail(5);
  it.fail(10);
  CHECK(it.judge.down_on_requests_alone());
  it.now = Verdict::kFirstHold;
  it.pass(2);
  CHECK(it.state() == BackendState::up);
  CHECK(it.judge.detail() == "it accepts connections again");
}

}  // namespace limpet::health::judge_evidence_test
