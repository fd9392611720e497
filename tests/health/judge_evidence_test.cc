// What it takes to call a backend down, and to call it up again.

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/health/judged.h"

namespace limpet::health::judge_evidence_test {

using limpet::health::test::Judged;
using limpet::health::test::short_rules;
using limpet::health::test::without_checks;

// Up, and asked once.
struct Known : Judged {
  explicit Known(Rules with = short_rules()) : Judged(std::move(with)) { pass(); }
};

// ---- the question

TEST_CASE("a backend begins up, and the first check decides at once") {
  Judged good, bad;
  CHECK(good.is_up());
  CHECK_FALSE(good.pass());
  CHECK(bad.fail());
  CHECK(bad.is_down());
}

TEST_CASE("the first check that fails is one of `fall` where a request was answered before") {
  Judged it;
  it.answered();
  it.fail(2);
  CHECK(it.is_up());
  it.fail();
  CHECK(it.is_down());
}

TEST_CASE("the first failure of a question that is put in doubt alone is one of `fall`") {
  Judged it(without_checks());
  it.request_fails();
  it.fail(2);
  CHECK(it.is_up());
  it.fail();
  CHECK(it.is_down());
}

TEST_CASE("after the first check it takes `fall` failures in a row, and a pass in between clears them") {
  Known it;
  it.fail(2);
  it.pass();
  it.fail(2);
  CHECK(it.is_up());
  it.fail();
  CHECK(it.is_down());
  CHECK_FALSE(it.judge.is_down_on_weak_evidence());
}

TEST_CASE("a question that timed out while nothing was answered counts as any other failure") {
  Known it;
  it.answered();
  ++it.now;
  it.time_out();
  it.fail();
  CHECK(it.is_up());
  it.time_out();
  CHECK(it.is_down());
}

TEST_CASE(
    "questions that timed out beside answered requests count only when `fall` times three have failed") {
  Known it;
  it.time_out_alone(8);
  CHECK(it.is_up());
  it.time_out_alone();
  CHECK(it.is_down());
  CHECK(it.judge.detail() ==
        "GET /health: no answer within 2s, 9 times in a row, though requests were answered");
}

TEST_CASE("a pass in between clears the questions that timed out beside answered requests") {
  Known it;
  it.time_out_alone(8);
  it.pass();
  it.time_out_alone(8);
  CHECK(it.is_up());
}

TEST_CASE(
    "what timed out beside answered requests adds nothing to `fall` other failures, nor takes from them") {
  Known two, three;
  two.fail(2);
  two.time_out_alone(6);
  CHECK(two.is_up());
  two.time_out_alone();
  CHECK(two.is_down());
  three.fail();
  three.time_out_alone(4);
  three.fail(1);
  CHECK(three.is_up());
  three.fail(1);
  CHECK(three.is_down());
}

TEST_CASE("only what was answered since a question was put is beside it") {
  Known beside, before;
  beside.judge.check_begins(beside.now);
  beside.now += 2000;
  beside.judge.answered({1, beside.now - 2000});
  CHECK(beside.time_out(1) == std::nullopt);
  beside.fail(2);  // not three: the first does not count
  CHECK(beside.is_up());
  before.judge.answered({1, before.now});
  ++before.now;
  before.judge.check_begins(before.now);
  before.now += 2000;
  before.time_out();
  before.fail(2);
  CHECK(before.is_down());
}

TEST_CASE("a question that could not be asked is no verdict, and is followed by the next one") {
  Judged good, bad, new_one;
  const auto unasked = [](Judged& it) {
    return it.check({CheckResult::Kind::unasked, "too many open files"}, 10);
  };
  good.pass();
  good.fail(2);
  CHECK_FALSE(unasked(good));
  CHECK(good.is_up());
  good.fail();  // the third in a row all the same
  CHECK(good.is_down());
  CHECK(good.judge.detail() == "GET /health: connection refused");
  bad.fail();
  bad.pass();
  unasked(bad);
  CHECK(bad.is_down());
  bad.pass();
  CHECK(bad.is_up());
  unasked(new_one);
  CHECK(new_one.is_up());
  CHECK(new_one.fail());  // its first check
  bad.ask();
  unasked(bad);
  CHECK(bad.state() == BackendState::draining);

  good.now += 70'000;
  CHECK_FALSE(unasked(good));
  REQUIRE(good.judge.next_check());
  CHECK(*good.judge.next_check() > good.now);
  CHECK(*good.judge.next_check() <= good.now + 2000);  // about fast_interval, for it is down
}

TEST_CASE("where requests fail and the question cannot be asked, nothing is decided") {
  Known it;
  it.crowd_fails(100);
  it.check({CheckResult::Kind::unasked, "too many open files"}, 100);
  CHECK(it.is_up());
  CHECK_FALSE(it.judge.is_held());
}

TEST_CASE("it comes back after `rise` passes in a row") {
  Judged it;
  it.fail();
  it.pass();
  it.fail();
  it.pass();
  CHECK(it.is_down());
  it.pass();
  CHECK(it.is_up());
}

TEST_CASE("an answer that asks for draining is a pass, and drains once the backend is up") {
  Judged it;
  it.fail();
  it.ask();
  CHECK(it.is_down());
  it.ask();
  CHECK(it.state() == BackendState::draining);
  CHECK(it.judge.cause() == Cause::answer);
  CHECK(it.judge.detail() == "answered 503");
  it.fail();
  CHECK(it.state() == BackendState::draining);  // a failure takes nothing back
  it.pass();
  CHECK(it.is_up());
}

// ---- requests

TEST_CASE("requests that fail, wait or are answered doubtfully change nothing by themselves") {
  Known it;
  for (int i = 0; i < 1000; ++i) {
    it.now += 10;
    it.request_fails(static_cast<uint64_t>(i));
    it.request_waits(it.now - 9);
    it.request_is_doubtful();
    CHECK_FALSE(it.tick(1));
  }
  CHECK(it.is_up());
}

TEST_CASE(
    "a pass keeps it up, unless requests of `failures` different clients failed and none was answered") {
  Known it;
  it.crowd_fails(4);
  it.pass();
  CHECK(it.is_up());
  it.request_fails(5);
  const Changed change = it.pass();
  REQUIRE(change);
  CHECK(change->to == BackendState::down);
  CHECK(change->cause == Cause::requests);
  CHECK(change->detail ==
        "requests of 5 clients failed within 10s (no answer in time), and none was answered; "
        "GET /health passes");
  CHECK(it.judge.is_down_on_weak_evidence());
}

TEST_CASE("one client is one, however many of its requests fail") {
  Known it;
  for (int i = 0; i < 1000; ++i) {
    ++it.now;
    it.request_fails(7);
    it.pass();
  }
  CHECK(it.is_up());
}

TEST_CASE("clients are counted within the window, each by the latest of its failures") {
  Known it;
  it.request_fails(1);
  it.request_fails(2);
  it.now += 10'000;
  it.request_fails(2);
  for (const uint64_t client : {3, 4, 5}) it.request_fails(client);
  ++it.now;  // the first is too old
  it.pass();
  CHECK(it.is_up());
  it.request_fails(1);
  it.pass();
  CHECK(it.is_down());
}

TEST_CASE("a request that is answered takes back the failures before it") {
  Known it;
  it.crowd_fails(4);
  ++it.now;
  it.answered();
  it.crowd_fails(4);
  it.request_fails(5, it.now - 2);  // told late: it failed before the answer came
  it.pass();
  CHECK(it.is_up());
  it.request_fails(5);
  it.pass();
  CHECK(it.is_down());
}

TEST_CASE("where passive failures are off, requests take nothing down") {
  auto rules = short_rules();
  rules.passive.failures = 0;
  Known it(rules);
  it.crowd_fails(1000);
  it.refuse();
  for (int i = 0; i < 10; ++i) it.request_is_refused();
  it.pass();
  it.fail(2);
  CHECK(it.is_up());
  CHECK_FALSE(it.judge.is_held());
}

TEST_CASE("where requests of so many failed, one question that fails is enough") {
  Known refused, slow, few;
  refused.crowd_fails();
  refused.fail();
  CHECK(refused.is_down());
  CHECK(refused.judge.cause() == Cause::checks);
  CHECK(refused.judge.detail() ==
        "GET /health: connection refused; requests of 5 clients failed within 10s (no answer in time)");
  CHECK(refused.judge.is_down_on_weak_evidence());
  slow.crowd_fails();
  slow.time_out();
  CHECK(slow.is_down());
  few.crowd_fails(4);
  few.fail();
  CHECK(few.is_up());
}

TEST_CASE("once a question has been refused, each request that is refused counts as another") {
  Known it;
  it.request_is_refused();
  it.request_is_refused();
  CHECK_FALSE(it.refuse());
  CHECK_FALSE(it.request_is_refused());
  CHECK(it.judge.doubt() ==
        "GET /health: connection refused, 1 request too (2 of 3); requests of 1 client failed within 10s (no "
        "connection)");
  it.may_go_down = false;
  const Changed change = it.request_is_refused();
  REQUIRE(change);
  CHECK(change->to == BackendState::down);
  CHECK(it.judge.cause() == Cause::checks);
  CHECK(it.judge.detail() == "GET /health: connection refused, 2 requests too");
  CHECK_FALSE(it.judge.is_down_on_weak_evidence());
  CHECK_FALSE(it.request_is_refused());
  it.pass(2);
  CHECK(it.is_up());
}

TEST_CASE("requests that are refused count only where the last question was refused") {
  Known it;
  SUBCASE("not passed") { it.pass(); }
  SUBCASE("not failed otherwise") { it.fail(); }
  SUBCASE("not passed since") { it.refuse(), it.pass(); }
  SUBCASE("not timed out since") { it.refuse(), it.time_out(); }
  for (int i = 0; i < 10; ++i) CHECK_FALSE(it.request_is_refused());
  CHECK(it.is_up());
}

TEST_CASE("a request that is answered takes back those that were refused before") {
  Known it;
  it.refuse();
  it.request_is_refused();
  it.answered();
  CHECK_FALSE(it.request_is_refused(it.now - 1));
  CHECK_FALSE(it.request_is_refused());
  CHECK(it.request_is_refused());
}

TEST_CASE("a backend that so went down comes back as soon as the question passes: there is no hold") {
  Known it;
  it.crowd_fails();
  it.fail();
  CHECK(it.is_down());
  it.pass(2);
  CHECK(it.is_up());
}

TEST_CASE("after failed requests it comes back by the question, not before the hold is over") {
  Known it;
  it.crowd_fails();
  it.pass();
  const Millis until = it.now + Verdict::kFirstHold;
  it.pass(9);
  CHECK(it.is_down());
  it.now = until - 1;
  it.pass();
  CHECK(it.is_down());
  it.now = until;
  it.pass();
  CHECK(it.is_up());
}

TEST_CASE("the hold doubles each time that requests fail without one that was answered, up to its longest") {
  Known it;
  Millis hold = Verdict::kFirstHold;
  for (int time = 0; time < 9; ++time) {
    it.crowd_fails();
    it.pass();
    const Millis until = it.now + hold;
    it.now = until - 1;
    it.pass(2);
    CHECK(it.is_down());
    it.now = until;
    it.pass();
    CHECK(it.is_up());
    hold = std::min(2 * hold, Verdict::kLongestHold);
  }
  CHECK(hold == Verdict::kLongestHold);
  it.answered();
  it.crowd_fails();
  it.pass();
  it.now += Verdict::kFirstHold;
  it.pass(2);
  CHECK(it.is_up());
}

TEST_CASE("requests that fail while the backend is down are no evidence: they were begun before") {
  Known it;
  it.fail(3);
  it.crowd_fails(100);
  it.request_waits(it.now - 10'000);
  it.pass(3);
  CHECK(it.is_up());
  CHECK(it.judge.doubt().empty());
}

TEST_CASE("a request that is answered while the backend is down says nothing: it was begun before") {
  Known it;
  it.crowd_fails();
  it.pass();
  it.answered();
  CHECK(it.is_down());
  it.now += Verdict::kFirstHold;
  it.pass(2);
  CHECK(it.is_up());
  it.crowd_fails();
  it.pass();
  it.now += Verdict::kFirstHold;
  it.pass(2);
  CHECK(it.is_down());  // the hold has doubled
}

// ---- weak evidence, and the pool's limit on it

TEST_CASE("questions that timed out, and nothing else, are weak evidence") {
  Known it;
  it.may_go_down = false;
  it.time_out(100);
  CHECK(it.is_up());
  CHECK(it.judge.is_held());
  it.may_go_down = true;
  it.time_out();
  CHECK(it.is_down());
  CHECK(it.judge.is_down_on_weak_evidence());
}

TEST_CASE("the first check that ever timed out is weak evidence too") {
  Judged it;
  it.may_go_down = false;
  it.time_out();
  CHECK(it.is_up());
  CHECK(it.judge.is_held());
  it.pass();
  CHECK_FALSE(it.judge.is_held());
}

TEST_CASE(
    "questions that timed out are strong evidence beside one that failed otherwise, or requests of many") {
  const auto is_taken_down_by = [](auto what) {
    Known it;
    it.may_go_down = false;
    what(it);
    it.time_out(2);
    CHECK(it.is_up());
    what(it);
    it.time_out();
    CHECK_FALSE(it.judge.is_down_on_weak_evidence());
    return it.is_down();
  };
  CHECK(is_taken_down_by([](Judged& it) { it.crowd_fails(); }));
  CHECK_FALSE(is_taken_down_by([](Judged& it) { it.crowd_fails(4); }));
  CHECK_FALSE(is_taken_down_by([](Judged& it) { it.request_waits(it.now); }));
  CHECK_FALSE(is_taken_down_by([](Judged& it) { it.request_is_doubtful(); }));
  CHECK_FALSE(is_taken_down_by([](Judged& it) { it.crowd_fails(), it.now += 10'001; }));
  CHECK_FALSE(is_taken_down_by([](Judged& it) { it.crowd_fails(), ++it.now, it.answered(), ++it.now; }));
  Known fails_first, fails_last;
  for (Known* it : {&fails_first, &fails_last}) it->may_go_down = false;
  fails_first.fail();
  fails_first.time_out(2);
  CHECK(fails_first.is_down());
  fails_last.time_out(2);
  fails_last.fail();
  CHECK(fails_last.is_down());
}

TEST_CASE("a request that waits is no evidence where something else was answered since it began to") {
  Known it;
  it.may_go_down = false;
  it.answered();
  it.request_waits(it.now - 1);
  CHECK(it.judge.doubt().empty());
  ++it.now;
  it.time_out(3);
  CHECK(it.judge.is_held());  // by timeouts alone
  CHECK(it.is_up());
}

TEST_CASE(
    "failed requests beside a question that passes, or that has not failed `fall` times, are weak evidence") {
  Known passes, fails;
  for (Known* it : {&passes, &fails}) {
    it->may_go_down = false;
    it->crowd_fails();
  }
  passes.pass(100);
  CHECK(passes.is_up());
  CHECK(passes.judge.is_held());
  fails.fail(2);
  CHECK(fails.is_up());
  CHECK(fails.judge.is_held());
  fails.fail();
  CHECK(fails.is_down());
  CHECK_FALSE(fails.judge.is_down_on_weak_evidence());
}

TEST_CASE("what is held goes down with the next question once it is allowed") {
  Known it;
  it.may_go_down = false;
  it.crowd_fails();
  it.pass();
  CHECK(it.judge.is_held());
  it.may_go_down = true;
  it.pass();
  CHECK(it.is_down());
  CHECK_FALSE(it.judge.is_held());
}

TEST_CASE("what is held is held no longer after an answer, a pass, or once the failures are too old") {
  Known it;
  it.may_go_down = false;
  it.crowd_fails();
  it.pass();
  REQUIRE(it.judge.is_held());
  it.answered();
  CHECK_FALSE(it.judge.is_held());
  it.crowd_fails();
  it.pass();
  it.now += 10'000;
  it.tick(0);
  CHECK(it.judge.is_held());
  it.now += 1;
  it.tick(0);
  CHECK_FALSE(it.judge.is_held());
  it.fail();
  CHECK_FALSE(it.judge.is_held());  // one that fails is no reason to be
  it.pass();
  it.time_out(3);
  REQUIRE(it.judge.is_held());
  it.pass();
  CHECK_FALSE(it.judge.is_held());
}

TEST_CASE(
    "what is down on weak evidence is down on strong evidence once the question has failed `fall` times") {
  Known it;
  it.crowd_fails();
  it.pass();
  it.fail(2);
  CHECK(it.judge.cause() == Cause::requests);
  CHECK(it.judge.is_down_on_weak_evidence());
  it.fail();
  CHECK(it.judge.cause() == Cause::checks);
  CHECK_FALSE(it.judge.is_down_on_weak_evidence());
  it.pass();
  it.time_out(9);
  CHECK_FALSE(it.judge.is_down_on_weak_evidence());  // and stays so
}

TEST_CASE("what timeouts alone took down stays down on weak evidence while there is nothing else") {
  Known it;
  it.time_out(30);
  CHECK(it.judge.is_down_on_weak_evidence());
  it.fail();
  CHECK_FALSE(it.judge.is_down_on_weak_evidence());
}

// ---- orders

TEST_CASE("an order to be up leads back into service once checks have passed, whatever went before") {
  Judged it;
  it.pass(5);
  it.order(Order::maintenance);
  it.pass(5);
  it.now += 1234;
  CHECK(it.order(Order::up).empty());
  CHECK(it.is_down());
  CHECK((it.judge.cause() == Cause::order && it.judge.detail() == "ada"));
  CHECK(it.judge.next_check() == it.now);
  CHECK_FALSE(it.judge.is_down_on_weak_evidence());
  it.pass();
  CHECK(it.is_down());
  it.fail(2);
  CHECK(it.judge.cause() == Cause::order);
  it.fail();
  CHECK(it.judge.cause() == Cause::checks);
  it.pass(2);
  CHECK((it.is_up() && it.judge.cause() == Cause::checks));
}

TEST_CASE("an answer that is reported again is no new one") {
  Known it;
  it.answered();
  const Millis at = it.now;
  for (const Millis hold : {Verdict::kFirstHold, 2 * Verdict::kFirstHold}) {
    it.crowd_fails();
    it.judge.answered({at, at});
    it.pass();
    it.now += hold - 1;
    it.pass(2);
    it.judge.answered({at, at});
    CHECK(it.is_down());
    ++it.now;
    it.pass();
    it.judge.answered({at, at});
    CHECK(it.is_up());
  }
}

TEST_CASE("an order to be up ends the hold that failed requests cost, and all counts begin again") {
  Known it;
  it.crowd_fails();
  it.pass();
  it.order(Order::up);
  CHECK(it.is_down());
  it.pass(2);
  CHECK(it.is_up());
  it.crowd_fails();
  it.pass();
  it.now += Verdict::kFirstHold;  // not twice that
  it.pass(2);
  CHECK(it.is_up());
  it.fail(2);
  CHECK(it.is_up());
}

TEST_CASE("an order to be up takes nothing that serves out of service") {
  Judged it;
  it.order(Order::drain);
  it.order(Order::up);
  CHECK(it.is_up());
  it.order(Order::up);
  CHECK(it.is_up());
}

TEST_CASE("where no checks are configured an order to be up is obeyed at once") {
  Judged it(without_checks());
  for (const auto& leave : {+[](Judged& one) { one.crowd_fails(), one.pass(); },
                            +[](Judged& one) { one.order(Order::maintenance); }}) {
    leave(it);
    CHECK_FALSE(in_service(it.state()));
    it.order(Order::up);
    CHECK(it.is_up());
  }
}

// ---- where no checks are configured

TEST_CASE("where no checks are configured HEAD / decides, once requests have put it in doubt") {
  Judged it(without_checks());
  const auto question = it.judge.question();
  CHECK(question.kind == conf::HealthCheck::Kind::http);
  CHECK((question.method == "HEAD" && question.path == "/"));
  it.request_fails();
  it.fail(2);
  CHECK(it.is_up());
  it.fail();
  CHECK(it.is_down());
  CHECK(it.judge.detail() == "HEAD /: connection refused");
  it.pass();
  CHECK(it.is_down());
  it.pass();
  CHECK(it.is_up());
  CHECK(it.judge.detail() == "HEAD / is answered again");
}

TEST_CASE("HEAD / is put every interval until it has passed, or was taken and failed three times") {
  Judged passes(without_checks()), closes(without_checks()), dead(without_checks());
  const auto is_asked_again = [](Judged& it) {
    it.now += 6000;
    return it.is_due();
  };
  for (Judged* it : {&passes, &closes, &dead}) {
    CHECK(is_asked_again(*it));
    CHECK(it->judge.doubt().empty());
  }
  passes.pass();
  CHECK_FALSE(is_asked_again(passes));
  for (int i = 0; i < 3; ++i) {
    CHECK(is_asked_again(closes));
    closes.fail_connected();
  }
  CHECK_FALSE(is_asked_again(closes));
  for (int i = 0; i < 9; ++i) dead.refuse();
  CHECK(is_asked_again(dead));
  for (Judged* it : {&passes, &closes, &dead}) CHECK(it->is_up());
}

TEST_CASE("where HEAD / has never passed, that somebody listens is all that it tells") {
  Judged it(without_checks());
  it.request_fails();
  it.request_waits(it.now);
  it.fail_connected(20);
  CHECK(it.is_up());
  CHECK(it.judge.doubt() ==
        "requests of 1 client failed within 10s (no answer in time); HEAD / has never passed");
  it.request_is_refused();
  it.refuse();
  it.request_is_refused();
  it.request_is_refused();
  CHECK(it.is_down());
  it.fail_connected();
  CHECK(it.is_down());
  it.fail_connected();
  CHECK(it.is_up());
  it.crowd_fails();
  it.fail_connected();
  CHECK(it.is_down());
  CHECK(it.judge.cause() == Cause::requests);
  CHECK(it.judge.detail() ==
        "requests of 5 clients failed within 10s (no answer in time), and none was answered; HEAD / never "
        "passed: "
        "the connection ended");
  CHECK(it.judge.is_down_on_weak_evidence());
}

TEST_CASE(
    "where HEAD / has never passed, an answer in another protocol counts, unless requests are answered") {
  Judged it(without_checks());
  it.answer_in_another_protocol();  // without need
  CHECK(it.is_up());
  it.request_fails();
  it.answer_in_another_protocol();
  it.answer_in_another_protocol();
  CHECK(it.is_up());
  it.answer_in_another_protocol();
  CHECK(it.is_down());
  CHECK(it.judge.detail() == "HEAD /: it does not speak HTTP/2");
  CHECK_FALSE(it.judge.is_down_on_weak_evidence());
  Judged answers(without_checks());
  for (int i = 0; i < 20; ++i) {
    answers.request_fails();
    answers.judge.check_begins(answers.now);
    answers.answered();
    answers.judge.checked({CheckResult::Kind::fail, "", false, true, true}, true, answers.now);
  }
  CHECK(answers.is_up());
}

TEST_CASE("where HEAD / has passed once, it does not count while requests are answered") {
  Known it(without_checks());
  for (int i = 0; i < 20; ++i) {
    it.request_fails();
    it.answered();
    it.fail_connected();
    it.time_out_alone();
  }
  CHECK(it.is_up());
  ++it.now;
  it.request_fails();
  it.fail_connected(3);
  CHECK(it.is_down());
  Known beside(without_checks());
  beside.judge.check_begins(beside.now);
  beside.answered();
  beside.crowd_fails();
  beside.fail_connected();
  CHECK(beside.judge.detail().ends_with("none was answered; HEAD / does not count: the connection ended"));
}

TEST_CASE("HEAD / passes with any answer but those of a proxy whose server does not answer") {
  const conf::HealthCheck question = Judged(without_checks()).judge.question();
  const auto passes = [&](int status) {
    return std::any_of(question.status.begin(), question.status.end(),
                       [&](const auto& range) { return range.contains(status); });
  };
  for (const int status : {101, 200, 301, 401, 404, 405, 500, 501, 505, 599}) CHECK(passes(status));
  for (const int status : {502, 503, 504}) CHECK_FALSE(passes(status));
}

TEST_CASE("where a backend has no check, nothing of its pool's is asked but how often and how many times") {
  Rules rules = without_checks();
  rules.check.body = "ready";
  rules.check.drain_status = {{503, 503}};
  rules.check.instance_header = "X-Boot";
  rules.check.host = "health.test";
  rules.check.port = 9000;
  rules.check.tls = true;
  const conf::HealthCheck question = Judged(rules).judge.question();
  CHECK(question == Judged(without_checks()).judge.question());
  CHECK(question.fall == rules.check.fall);
  CHECK(question.fast_interval == rules.check.fast_interval);
}

TEST_CASE("a check that is configured is the question as it is") {
  CHECK(Judged().judge.question() == short_rules().check);
}

// ---- whose evidence it is

TEST_CASE("what was answered before a judge was born belongs to whoever had its place") {
  Judged it;
  it.judge.answered({it.kStart - 2, it.kStart - 1});
  CHECK(it.fail());  // at the first check, for nothing was answered yet
  CHECK(it.is_down());
}

// ---- for people

TEST_CASE("nothing is said against a backend that has been given no reason to be doubted") {
  Known it;
  CHECK(it.judge.doubt().empty());
  it.request_fails();
  ++it.now;
  it.answered();
  it.request_is_doubtful();
  CHECK(it.judge.doubt().empty());
}

TEST_CASE("doubt says what was asked, what came of it, and how often of how many times") {
  Known it;
  it.fail(2);
  CHECK(it.judge.doubt() == "GET /health: connection refused (2 of 3)");
  it.pass();
  CHECK(it.judge.doubt().empty());
  it.time_out_alone(4);
  CHECK(it.judge.doubt() ==
        "GET /health: no answer within 2s, 4 times in a row, though requests were answered (4 of 9)");
}

TEST_CASE("doubt says whose requests failed and how, and that the question passes once it does") {
  Known it;
  it.request_fails(1);
  CHECK(it.judge.doubt() == "requests of 1 client failed within 10s (no answer in time)");
  it.pass();
  it.request_fails(1, it.now);
  it.pass();
  CHECK(it.judge.doubt() == "requests of 1 client failed within 10s (no answer in time); GET /health passes");
  it.request_fails(2);
  it.fail();
  CHECK(it.judge.doubt() ==
        "GET /health: connection refused (1 of 3); "
        "requests of 2 clients failed within 10s (no answer in time)");
}

TEST_CASE("doubt says that a request waits, until something is answered or the question passes") {
  Known it;
  for (const bool by_answer : {true, false}) {
    it.now += 10'000;
    it.request_waits(it.now - 10'000 + 1);
    CHECK(it.judge.doubt() == "a request has waited long, and none was answered");
    if (by_answer) it.answered();
    if (!by_answer) it.pass();
    CHECK(it.judge.doubt().empty());
  }
}

TEST_CASE("doubt says who is held, and why") {
  Known requests, timeouts;
  for (Known* it : {&requests, &timeouts}) it->may_go_down = false;
  requests.crowd_fails();
  CHECK(requests.judge.doubt() == "requests of 5 clients failed within 10s (no answer in time)");
  requests.pass();
  CHECK(requests.judge.doubt() ==
        "held: requests of 5 clients failed within 10s (no answer in time); GET /health passes");
  timeouts.time_out(3);
  CHECK(timeouts.judge.doubt() == "held: GET /health: no answer within 2s");
}

TEST_CASE("doubt says why the question cannot be asked, until it can") {
  Known it;
  it.check({CheckResult::Kind::unasked, "too many open files"}, 1);
  CHECK(it.judge.doubt() == "GET /health cannot be asked: too many open files");
  it.pass();
  CHECK(it.judge.doubt().empty());
}

TEST_CASE("where it is down, its detail says why, and there is no doubt") {
  Known it;
  it.fail(3);
  CHECK(it.judge.doubt().empty());
}

}  // namespace limpet::health::judge_evidence_test
