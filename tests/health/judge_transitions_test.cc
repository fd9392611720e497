// Every event in every state, and where it leads: what is not in this table must not happen.

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/health/judged.h"

namespace limpet::health::judge_transitions_test {

using limpet::health::test::Judged;

using Act = std::function<std::string(Judged&)>;  // empty, or the refusal

struct Named {
  const char* name;
  Act act;
};

Act silent(std::function<void(Judged&)> act) {
  return [act](Judged& it) {
    act(it);
    return std::string();
  };
}

void finish_drain(Judged& it, uint64_t sessions) {
  it.now += sessions == 0 ? Judge::kSettling : 60'000;
  it.tick(sessions);
}

const std::vector<Named> kFrom = {
    {"up", silent([](Judged&) {})},
    {"draining by order", silent([](Judged& it) { it.order(Order::drain); })},
    {"draining by answer", silent([](Judged& it) { it.ask(); })},
    {"draining by file", silent([](Judged& it) { it.judge.remove(it.now); })},
    {"down", silent([](Judged& it) { it.fail(3); })},
    {"down, by requests", silent([](Judged& it) { it.crowd_fails(), it.pass(); })},
    {"down, drain ordered", silent([](Judged& it) { it.fail(3), it.order(Order::drain); })},
    {"maintenance by order", silent([](Judged& it) { it.order(Order::maintenance); })},
    {"drained by order", silent([](Judged& it) { it.order(Order::drain), finish_drain(it, 0); })},
    {"drained by answer", silent([](Judged& it) { it.ask(), finish_drain(it, 7); })},
    {"drained by file", silent([](Judged& it) { it.judge.remove(it.now), finish_drain(it, 0); })},
};

const std::vector<Named> kEvents = {
    // what the question comes to
    {"two pass", silent([](Judged& it) { it.pass(2); })},
    {"one passes, one fails", silent([](Judged& it) { it.pass(), it.fail(); })},
    {"two fail", silent([](Judged& it) { it.fail(2); })},
    {"three fail", silent([](Judged& it) { it.fail(3); })},
    {"three time out", silent([](Judged& it) { it.time_out(3); })},
    {"three time out beyond the limit", silent([](Judged& it) { it.may_go_down = false, it.time_out(3); })},
    {"eight time out beside answers", silent([](Judged& it) { it.time_out_alone(8); })},
    {"nine time out beside answers", silent([](Judged& it) { it.time_out_alone(9); })},
    {"ten cannot be asked", silent([](Judged& it) { it.check({CheckResult::Kind::unasked, ""}, 10); })},
    {"an answer asks for draining", silent([](Judged& it) { it.ask(); })},
    // what requests come to
    {"a request fails", silent([](Judged& it) { it.request_fails(); })},
    {"five clients' requests fail", silent([](Judged& it) { it.crowd_fails(); })},
    {"a request waits", silent([](Judged& it) { it.request_waits(it.now - 1); })},
    {"a request is answered doubtfully", silent([](Judged& it) { it.request_is_doubtful(); })},
    {"a request is answered", silent([](Judged& it) { it.answered(); })},
    // both
    {"four clients' fail, it passes", silent([](Judged& it) { it.crowd_fails(4), it.pass(); })},
    {"five clients' fail, it passes", silent([](Judged& it) { it.crowd_fails(), it.pass(); })},
    {"five clients' fail, it passes, beyond the limit",
     silent([](Judged& it) { it.may_go_down = false, it.crowd_fails(), it.pass(); })},
    {"five clients' fail, one is answered, it passes",
     silent([](Judged& it) { it.crowd_fails(), it.answered(), it.pass(); })},
    {"five clients' fail, it fails", silent([](Judged& it) { it.crowd_fails(), it.fail(); })},
    {"five clients' fail, it times out", silent([](Judged& it) { it.crowd_fails(), it.time_out(); })},
    {"five clients' fail, it cannot be asked",
     silent([](Judged& it) { it.crowd_fails(), it.check({CheckResult::Kind::unasked, ""}, 1); })},
    {"a request waits, it passes", silent([](Judged& it) { it.request_waits(it.now - 1), it.pass(); })},
    // orders, the file, time
    {"drain", [](Judged& it) { return it.order(Order::drain); }},
    {"undrain", [](Judged& it) { return it.order(Order::undrain); }},
    {"maintenance", [](Judged& it) { return it.order(Order::maintenance); }},
    {"up", [](Judged& it) { return it.order(Order::up); }},
    {"the file loses it", silent([](Judged& it) { it.judge.remove(it.now); })},
    {"the file names it", silent([](Judged& it) { it.judge.unremove(it.now); })},
    {"a second with sessions", silent([](Judged& it) { it.now += 1000, it.tick(3); })},
    {"a second without", silent([](Judged& it) { it.now += 1000, it.tick(0); })},
    {"the deadline with sessions", silent([](Judged& it) { it.now += 60'000, it.tick(3); })},
};

// U up, G draining, D down, M maintenance; x: refused. Rows as kFrom, columns as kEvents, in their four
// groups.
const std::vector<std::string> kTo = {
    "UUUDDUUDUG UUUUU UDUUDDUU GxMUGUUUU",  // up
    "GGGDDGGDGG GGGGG GDGGDDGG GUMUGGGMM",  // draining by order
    "UUGDDGGDGG GGGGG UDUUDDGU GxMUGGGGM",  // draining by answer
    "GGGDDGGDGG GGGGG GDGGDDGG GxMxGUGMM",  // draining by file
    "UDDDDDDDDD DDDDD DDDDDDDD DxMDDDDDD",  // down
    "DDDDDDDDDD DDDDD DDDDDDDD DxMDDDDDD",  // down, by requests: the hold is not over
    "GDDDDDDDDD DDDDD DDDDDDDD DDMDDDDDD",  // down, drain ordered
    "MMMMMMMMMM MMMMM MMMMMMMM xxMDMMMMM",  // maintenance by order
    "MMMDDMMDMM MMMMM MDMMDDMM MUMDMMMMM",  // drained by order
    "UUMDDMMDMM MMMMM UDUUDDMU MxMDMMMMM",  // drained by answer
    "MMMDDMMDMM MMMMM MDMMDDMM MxMxMUMMM",  // drained by file
};

char letter(BackendState state) { return "UGDM"[static_cast<size_t>(state)]; }

TEST_CASE("every event in every state leads where the table says") {
  for (size_t from = 0; from < kFrom.size(); ++from) {
    std::string row = kTo[from];
    std::erase(row, ' ');
    REQUIRE(row.size() == kEvents.size());
    for (size_t event = 0; event < kEvents.size(); ++event) {
      CAPTURE(kFrom[from].name);
      CAPTURE(kEvents[event].name);
      Judged it;
      it.pass();
      kFrom[from].act(it);
      const BackendState before = it.state();
      CHECK(letter(before) == "UGGGDDDMMMM"[from]);
      const bool refused = !kEvents[event].act(it).empty();
      const char to = row[event];
      CHECK(refused == (to == 'x'));
      CHECK(letter(it.state()) == (to == 'x' ? letter(before) : to));
    }
  }
}

TEST_CASE("a refusal says the state, why the backend is in it, and why the order makes no sense") {
  Judged it;
  CHECK(it.order(Order::undrain) == "it is up (start): no drain is ordered");
  it.order(Order::maintenance);
  CHECK(it.order(Order::drain) == "it is in maintenance (order: ada): `up` ends that");
  CHECK(it.order(Order::undrain) == "it is in maintenance (order: ada): `up` ends that");
}

TEST_CASE("an order that holds already is accepted and changes nothing") {
  Judged it;
  it.order(Order::drain);
  it.now += 59'000;
  const Judge::Answer again = it.judge.order(Order::drain, "bob", it.now);
  CHECK(again.refusal.empty());
  CHECK_FALSE(again.change);
  CHECK(it.judge.detail() == "ada");
  CHECK(it.judge.drain_deadline() == it.kStart + 60'000);
}

TEST_CASE("a change says from where, to where, and why") {
  Judged it;
  const Changed down = it.fail();
  REQUIRE(down);
  CHECK(down->from == BackendState::up);
  CHECK(down->to == BackendState::down);
  CHECK(down->cause == Cause::checks);
  CHECK(down->detail == "GET /health: connection refused");
  it.now += 7;
  const Changed up = it.pass(2);
  REQUIRE(up);
  CHECK(up->to == BackendState::up);
  CHECK(up->cause == Cause::checks);
  CHECK(it.judge.since() == it.now);
}

TEST_CASE("what keeps a backend down may change while it is down") {
  Judged it;
  it.pass();
  it.crowd_fails();
  it.pass();
  const Millis since = it.now;
  CHECK(it.judge.cause() == Cause::requests);
  it.now += 9;
  CHECK_FALSE(it.fail(3));
  CHECK(it.judge.cause() == Cause::checks);
  CHECK(it.judge.detail() == "GET /health: connection refused");
  CHECK(it.judge.since() == since);
}

}  // namespace limpet::health::judge_transitions_test
