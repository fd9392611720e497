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
    {"up", silent([](Judged& it) { it.pass(); })},
    {"draining by order", silent([](Judged& it) { it.order(Order::drain); })},
    {"draining by answer", silent([](Judged& it) { it.ask(); })},
    {"draining by file", silent([](Judged& it) { it.judge.remove(it.now); })},
    {"down", silent([](Judged& it) { it.pass(), it.fail(3); })},
    {"down, drain ordered", silent([](Judged& it) { it.fail(), it.order(Order::drain); })},
    {"maintenance by order", silent([](Judged& it) { it.order(Order::maintenance); })},
    {"drained by order", silent([](Judged& it) { it.order(Order::drain), finish_drain(it, 0); })},
    {"drained by answer", silent([](Judged& it) { it.ask(), finish_drain(it, 7); })},
    {"drained by file", silent([](Judged& it) { it.judge.remove(it.now), finish_drain(it, 0); })},
};

const std::vector<Named> kEvents = {
    {"two checks pass", silent([](Judged& it) { it.pass(2); })},
    {"a check fails", silent([](Judged& it) { it.pass(), it.fail(); })},
    {"three checks fail", silent([](Judged& it) { it.fail(3); })},
    {"an answer asks for draining", silent([](Judged& it) { it.ask(); })},
    {"five requests fail", silent([](Judged& it) { it.requests_fail(5); })},
    {"a request succeeds", silent([](Judged& it) { it.judge.succeeded(); })},
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

// U up, G draining, D down, M maintenance; x: refused. Rows as kFrom, columns as kEvents.
const std::vector<std::string> kTo = {
    "UUDGDUGxMUGUUUU",  // up
    "GGDGDGGUMUGGGMM",  // draining by order
    "UUDGDGGxMUGGGGM",  // draining by answer
    "GGDGDGGxMxGUGMM",  // draining by file
    "UDDDDDDxMDDDDDD",  // down
    "GDDDDDDDMDDDDDD",  // down, drain ordered
    "MMMMMMxxMDMMMMM",  // maintenance by order
    "MMDMDMMUMDMMMMM",  // drained by order
    "UUDMDMMxMDMMMMM",  // drained by answer
    "MMDMDMMxMxMUMMM",  // drained by file
};

char letter(BackendState state) { return "UGDM"[static_cast<size_t>(state)]; }

TEST_CASE("every event in every state leads where the table says") {
  for (size_t from = 0; from < kFrom.size(); ++from) {
    for (size_t event = 0; event < kEvents.size(); ++event) {
      CAPTURE(kFrom[from].name);
      CAPTURE(kEvents[event].name);
      Judged it;
      kFrom[from].act(it);
      const BackendState before = it.state();
      CHECK(letter(before) == "UGGGDDMMMM"[from]);
      const bool refused = !kEvents[event].act(it).empty();
      const char to = kTo[from][event];
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
  it.now = 59'000;
  const Judge::Answer again = it.judge.order(Order::drain, "bob", it.now);
  CHECK(again.refusal.empty());
  CHECK_FALSE(again.change);
  CHECK(it.judge.detail() == "ada");
  CHECK(it.judge.drain_deadline() == 60'000);
}

TEST_CASE("a change says from where, to where, and why") {
  Judged it;
  const Changed down = it.fail();
  REQUIRE(down);
  CHECK(down->from == BackendState::up);
  CHECK(down->to == BackendState::down);
  CHECK(down->cause == Cause::checks);
  CHECK(down->detail == "connection refused");
  it.now = 7;
  const Changed up = it.pass(2);
  REQUIRE(up);
  CHECK(up->to == BackendState::up);
  CHECK(up->cause == Cause::checks);
  CHECK(it.judge.since() == 7);
}

TEST_CASE("what keeps a backend down may change while it is down") {
  Judged it;
  it.requests_fail(5);
  CHECK(it.judge.cause() == Cause::requests);
  CHECK(it.judge.down_on_requests_alone());
  it.now = 9;
  CHECK_FALSE(it.fail(3));
  CHECK(it.judge.cause() == Cause::checks);
  CHECK_FALSE(it.judge.down_on_requests_alone());
  CHECK(it.judge.since() == 0);
}

}  // namespace limpet::health::judge_transitions_test
