// When a judge wants checks, when drains are over, and how a backend warms up.

#include <doctest/doctest.h>

#include <set>

#include "tests/health/judged.h"

namespace limpet::health::judge_time_test {

using limpet::health::test::Judged;
using limpet::health::test::short_rules;
using limpet::health::test::without_checks;

// The pause until the next check, which then begins.
Millis next(Judged& it) {
  REQUIRE(it.judge.next_check());
  const Millis pause = *it.judge.next_check() - it.now;
  it.now += pause;
  it.judge.check_begins(it.now);
  return pause;
}

bool about(Millis pause, Millis mean) { return mean * 9 / 10 <= pause && pause <= mean * 11 / 10; }

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
  it.crowd_fails();
  next(it);
  it.pass();
  CHECK(it.is_down());
  CHECK(about(next(it), 1000));
}

// Up, asked just now, and then not for a while.
struct Quiet : Judged {
  explicit Quiet(Rules with = short_rules()) : Judged(std::move(with)) {
    judge.check_begins(now);
    pass();
    now += 2000;
  }
};

TEST_CASE("a request that failed, waits or got a proxy's answer makes Limpet ask at once") {
  Quiet fails, waits, doubts;
  CHECK_FALSE(fails.is_due());
  fails.request_fails();
  waits.request_waits(waits.now - 1);
  doubts.request_is_doubtful();
  for (Quiet* it : {&fails, &waits, &doubts}) {
    CHECK(it->is_due());
    it->judge.check_begins(it->now);
    it->pass();
    CHECK_FALSE(it->is_due());
    CHECK(about(*it->judge.next_check() - it->now, 5000));
  }
}

TEST_CASE("it is not asked about a failure where a request begun since has been answered") {
  Quiet before, since, told_late;
  for (Quiet* it : {&before, &since}) it->request_fails();
  const Millis at = since.now;
  before.now += 5, before.answered(at);  // begun when the other failed
  CHECK(before.is_due());
  since.now += 5, since.answered(at + 1);
  CHECK_FALSE(since.is_due());
  told_late.now += 5, told_late.answered(at + 1);
  told_late.request_fails(1, at);
  CHECK_FALSE(told_late.is_due());
  told_late.request_fails(1, at + 1);
  CHECK(told_late.is_due());
}

TEST_CASE("an answer to a request that was begun long ago does not hide that a later one was answered") {
  Quiet it;
  const Millis at = it.now;
  it.now += 10, it.answered(at + 2);
  it.now += 10, it.answered(at - 500);
  it.request_fails(1, at + 1);
  CHECK_FALSE(it.is_due());
}

TEST_CASE("it is not asked about a request that waits where anything was answered since it began to") {
  Quiet it;
  it.answered(1);
  it.request_waits(it.now);
  CHECK_FALSE(it.is_due());
  it.request_waits(it.now + 1);
  CHECK(it.is_due());
}

TEST_CASE("a request that still waits makes Limpet ask again each time that it is told") {
  Quiet it;
  for (const Millis since = it.now - 1; it.now < since + 50'000; it.now += 10'000) {
    it.request_waits(since);
    CHECK(it.is_due());
    it.judge.check_begins(it.now);
    it.pass();
  }
}

TEST_CASE("whatever requests do, it is asked no more than once per fast_interval") {
  Quiet it;
  int questions = 0;
  for (const Millis end = it.now + 100'000; it.now < end; it.now += 10) {
    it.request_fails(it.now % 7, it.now);
    if (!it.is_due()) continue;
    ++questions;
    it.judge.check_begins(it.now);
    it.pass(), it.answered(1);  // or it would be down
  }
  CHECK(questions == 100);
}

TEST_CASE("a failure during a question makes another one follow, after fast_interval") {
  Quiet it;
  it.request_fails();
  const Millis began = it.now;
  it.judge.check_begins(began);
  it.now += 10;
  it.request_fails();
  CHECK_FALSE(it.judge.next_check());
  it.pass();
  CHECK(it.judge.next_check() == began + 1000);
}

TEST_CASE("a question that could not be asked is asked again after fast_interval while it is needed") {
  for (const Rules& rules : {short_rules(), without_checks()}) {
    Quiet it(rules);
    it.request_fails();
    for (int i = 0; i < 5; ++i) {
      CHECK(it.is_due());
      it.judge.check_begins(it.now);
      it.check({CheckResult::Kind::unasked, "too many open files"}, 1);
      CHECK(it.judge.next_check() == it.now + 1000);
      it.now += 1000;
    }
  }
}

TEST_CASE("failures of requests while it is down ask for nothing") {
  Quiet it;
  it.fail(3);
  const auto at = it.judge.next_check();
  it.request_fails();
  it.request_waits(it.now - 1);
  CHECK(it.judge.next_check() == at);
}

TEST_CASE("where no checks are configured, a backend is asked while it is in doubt, and while it is down") {
  Judged it(without_checks());
  it.pass();
  CHECK_FALSE(it.judge.next_check());
  it.request_fails();
  CHECK(it.is_due());
  it.judge.check_begins(it.now);
  it.pass();
  CHECK_FALSE(it.judge.next_check());
  it.now += 1000;
  it.request_fails();
  CHECK(it.is_due());
  it.judge.check_begins(it.now);
  it.fail();
  for (int i = 0; i < 10; ++i) {
    CHECK(it.is_up() == (i < 2));
    CHECK(about(next(it), 1000));
    it.fail();
  }
  it.pass(2);
  CHECK(it.is_up());
  CHECK_FALSE(it.judge.next_check());
}

TEST_CASE("one request a minute is enough: the questions that follow the first that fails decide") {
  Judged dies(without_checks()), stumbles(without_checks());
  for (Judged* it : {&dies, &stumbles}) {
    it->pass();
    for (int minute = 0; minute < 3; ++minute) {
      it->now += 60'000;
      it->answered();
    }
    it->now += 60'000;
    it->request_fails();
    CHECK(it->is_due());
    it->judge.check_begins(it->now);
  }
  for (int question = 0; question < 2; ++question) {
    dies.fail();
    CHECK(about(next(dies), 1000));
  }
  CHECK(dies.is_up());
  dies.fail();
  CHECK(dies.is_down());
  for (int minute = 0; minute < 30; ++minute) {
    stumbles.pass();
    CHECK_FALSE(stumbles.judge.next_check());
    stumbles.now += 60'000;
    stumbles.request_fails();
    CHECK(stumbles.is_due());
    stumbles.judge.check_begins(stumbles.now);
  }
  CHECK(stumbles.is_up());
}

TEST_CASE("where no checks are configured, a doubt that a later answer ends is not asked about") {
  Judged it(without_checks());
  it.pass();
  it.request_fails();
  it.now += 2;
  it.answered(it.now - 1);
  CHECK_FALSE(it.judge.next_check());
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

TEST_CASE("a reload that configures checks has them asked, and one that takes them away has not") {
  Judged it(without_checks());
  it.judge.reconfigure(short_rules(), it.now);
  CHECK(it.judge.next_check());
  next(it);
  it.pass();
  CHECK(it.judge.next_check());
  it.judge.reconfigure(without_checks(), it.now);
  CHECK_FALSE(it.judge.next_check());
}

TEST_CASE("a reload's numbers hold for what was counted before") {
  Judged it;
  it.pass();
  it.crowd_fails(3);
  it.pass();
  CHECK(it.is_up());
  Rules rules = short_rules();
  rules.passive.failures = 3;
  it.judge.reconfigure(rules, it.now);
  CHECK(it.is_up());  // until it is asked
  it.pass();
  CHECK(it.is_down());
}

TEST_CASE("a reload that moves the limits of a fall or a rise is heeded at the next answer") {
  Judged it;
  it.pass();
  it.fail(2);
  Rules rules = short_rules();
  rules.check.fall = 10;
  it.judge.reconfigure(rules, it.now);
  it.fail(7);
  CHECK(it.is_up());
  it.fail();
  CHECK(it.is_down());
  it.pass();
  rules.check.rise = 1;
  it.judge.reconfigure(rules, it.now);
  CHECK(it.is_down());
  it.pass();
  CHECK(it.is_up());
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
  CHECK(it.judge.drain_deadline() == it.kStart + 9000);
}

TEST_CASE("a drain is over at zero sessions, but not before the workers have heard of it") {
  Judged it;
  it.order(Order::drain);
  CHECK_FALSE(it.tick(0));
  it.now += Judge::kSettling;
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
  it.order(Order::drain);
  it.now += Judge::kSettling;
  it.tick(0);
  CHECK(it.state() == BackendState::maintenance);
  CHECK(it.judge.drain_deadline() == it.kStart + 60'000);
  auto rules = short_rules();
  rules.drain_timeout = 9000;
  it.judge.reconfigure(rules, it.now);
  CHECK(it.judge.drain_deadline() == it.kStart + 9000);
}

TEST_CASE("a drain is over at its deadline, sessions or not") {
  Judged it;
  it.order(Order::drain);
  CHECK(it.judge.drain_deadline() == it.kStart + 60'000);
  it.now = it.kStart + 59'999;
  CHECK_FALSE(it.tick(4));
  it.now = it.kStart + 60'000;
  const Changed over = it.tick(4);
  REQUIRE(over);
  CHECK(over->cause == Cause::drain_timeout);
  CHECK(it.judge.drain_deadline() == it.kStart + 60'000);
  it.order(Order::undrain);
  CHECK_FALSE(it.judge.drain_deadline());
}

// --- Sessions that came before the process ---

Rules remembering(Millis idle_timeout) {
  Rules rules = short_rules();
  rules.drain_timeout = 60'000;
  rules.idle_timeout = idle_timeout;
  return rules;
}

TEST_CASE("a drain without known sessions is not over before all are known: idle_timeout after the start") {
  for (const bool by_file : {false, true}) {
    Judged it(remembering(30'000));
    it.now += 12'000;
    if (by_file) {
      it.judge.remove(it.now);
    } else {
      it.order(Order::drain);
    }
    const auto unknown = it.judge.unknown(it.now);
    REQUIRE(unknown);
    CHECK(unknown->served_for == 12'000);
    CHECK(unknown->idle_timeout == 30'000);
    CHECK(unknown->left == 18'000);
    it.now = it.kStart + 29'999;
    CHECK_FALSE(it.tick(0));
    CHECK(it.judge.unknown(it.now)->left == 1);
    it.now = it.kStart + 30'000;
    CHECK_FALSE(it.judge.unknown(it.now));
    CHECK_FALSE(it.tick(1));
    const Changed over = it.tick(0);
    REQUIRE(over);
    CHECK(over->cause == Cause::drained);
  }
}

TEST_CASE("a drain that is to wait for known sessions alone is over without any") {
  Judged it(remembering(30'000));
  it.order(Order::drain_known);
  CHECK_FALSE(it.judge.unknown(it.now));
  it.now += Judge::kSettling;
  CHECK_FALSE(it.tick(1));
  const Changed over = it.tick(0);
  REQUIRE(over);
  CHECK(over->cause == Cause::drained);
}

TEST_CASE("the last order to drain says for which sessions, and the drain goes on as it began") {
  Judged it(remembering(30'000));
  it.order(Order::drain);
  it.now += 5000;
  it.order(Order::drain_known);
  CHECK_FALSE(it.judge.unknown(it.now));
  it.order(Order::drain);
  CHECK(it.judge.unknown(it.now));
  CHECK_FALSE(it.tick(0));
  CHECK(it.judge.drain_deadline() == it.kStart + 60'000);
  it.order(Order::drain_known);
  CHECK(it.tick(0));
}

TEST_CASE("an order says it of a drain by the file as well, and taken back it says nothing any more") {
  Judged it(remembering(30'000));
  it.judge.remove(it.now);
  it.now += Judge::kSettling;
  it.order(Order::drain_known);
  it.order(Order::undrain);
  CHECK(it.judge.unknown(it.now));
  CHECK_FALSE(it.tick(0));
  it.order(Order::drain_known);
  it.now += Judge::kSettling;
  CHECK(it.tick(0));
}

TEST_CASE("a drain is over at its deadline, whatever is not known") {
  Judged it(remembering(600'000));
  it.order(Order::drain);
  it.now = it.kStart + 60'000;
  const Changed over = it.tick(0);
  REQUIRE(over);
  CHECK(over->cause == Cause::drain_timeout);
}

TEST_CASE(
    "what a check's answer drains may have unknown sessions too, and what does not drain tells of none") {
  Judged it(remembering(600'000));
  CHECK_FALSE(it.judge.unknown(it.now));
  it.ask();
  CHECK(it.judge.unknown(it.now));
  it.pass();
  CHECK_FALSE(it.judge.unknown(it.now));
  it.order(Order::drain);
  it.order(Order::maintenance);
  CHECK_FALSE(it.judge.unknown(it.now));
}

TEST_CASE("an idle_timeout that a reload changes counts from the start too") {
  Judged it(remembering(30'000));
  it.order(Order::drain);
  it.now += 10'000;
  CHECK_FALSE(it.tick(0));
  it.judge.reconfigure(remembering(10'000), it.now);
  CHECK_FALSE(it.judge.unknown(it.now));
  CHECK(it.tick(0));
}

TEST_CASE("what may not be known is told in one sentence") {
  CHECK(text(Unknown{.served_for = 120'000, .idle_timeout = 1'800'000, .left = 1'680'000}) ==
        "Limpet has served this pool for 2 min and may not know all of its sessions: it can say that none is "
        "left when none was seen for 30 min, in 28 min at the earliest");
}

TEST_CASE(
    "a drain that a check's answer asks for goes on without sessions, for the backend may take it back") {
  Judged it;
  it.ask();
  it.now = it.kStart + 59'999;
  it.tick(0);
  CHECK(it.state() == BackendState::draining);
  it.now = it.kStart + 60'000;
  it.tick(0);
  CHECK(it.state() == BackendState::maintenance);
  it.pass();
  CHECK(it.state() == BackendState::up);
}

TEST_CASE("each drain has its own deadline, and the first that is over decides") {
  Judged it;
  it.order(Order::drain);
  it.now = it.kStart + 20'000;
  it.judge.remove(it.now);
  CHECK(it.judge.drain_deadline() == it.kStart + 60'000);
  it.now = it.kStart + 60'000;
  it.tick(1);
  CHECK(it.state() == BackendState::maintenance);
  it.order(Order::undrain);
  CHECK(it.state() == BackendState::draining);  // the file's own goes on
  CHECK(it.judge.drain_deadline() == it.kStart + 80'000);
}

TEST_CASE("a backend that comes back warms up evenly through slow_start; one that never left is warm") {
  auto rules = short_rules();
  rules.slow_start = 10'000;
  Judged it(rules);
  CHECK(it.judge.warmth(it.now) == 100);
  it.fail();
  it.now += 3000;
  it.pass(2);
  const Millis back = it.now;
  CHECK(it.judge.warmth(back) == 1);
  CHECK(it.judge.warmth(back + 5000) == 50);
  CHECK(it.judge.warmth(back + 9999) == 99);
  CHECK(it.judge.warmth(back + 10'000) == 100);
  it.order(Order::drain);
  it.order(Order::undrain);
  CHECK(it.judge.warmth(back + 5000) == 50);  // draining is service
  it.order(Order::maintenance);
  it.now += 50'000;
  it.order(Order::up);
  it.pass(2);
  CHECK(it.judge.warmth(it.now) == 1);
}

TEST_CASE("without slow_start a backend is warm at once") {
  Judged it;
  it.fail();
  it.pass(2);
  CHECK(it.judge.warmth(it.now) == 100);
}

}  // namespace limpet::health::judge_time_test
