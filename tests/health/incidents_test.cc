#include "health/incidents.h"

#include <doctest/doctest.h>

#include "tests/health/scene.h"

namespace limpet::health::incidents_test {

using limpet::health::test::Scene;
using limpet::routing::Event;
using Cost = Scene::Cost;
using Kind = Incident::Kind;
using End = Incident::End;

TEST_CASE(
    "a backend that goes down with sessions on it opens an outage, which follows them until none is at "
    "risk") {
  Scene it;
  it.open(0, 8, 0);
  it.open(8, 2, 0, false);
  it.tick();
  it.change(0, BackendState::down);
  REQUIRE(it.count() == 1);
  CHECK(it.last().id == 1);
  CHECK(it.last().kind == Kind::outage);
  CHECK(it.last().cause == Cause::checks);
  CHECK(it.last().at_risk == 10);
  CHECK(it.last().at_risk_returned == 8);
  CHECK(it.last().left == 10);
  CHECK(it.last().closed == 0);
  it.extra[0].requests_failed += 2;
  it.extra[0].requests_retried += 9;
  it.move(0, 0, 1, Cost::lost, true);
  it.move(1, 0, 1, Cost::lost);
  it.move(2, 0, 2, Cost::carried);
  it.log_out(3);
  it.tick();
  CHECK(it.last()[Event::lost] == 2);
  CHECK(it.last()[Event::confirmed] == 1);
  CHECK(it.last()[Event::carried] == 1);
  CHECK(ended_by_themselves(it.last().books.all) == 1);
  CHECK(it.last().left == 6);
  CHECK(it.last().requests_failed == 2);
  CHECK(it.last().requests_retried == 9);
  it.tick(700);  // nobody comes back
  CHECK(it.last()[Event::abandoned] == 6);
  CHECK(it.last().books.returned[Event::abandoned] == 4);
  CHECK(it.last().left == 0);
  CHECK(it.last().closed == it.now);
  CHECK(it.last().end == End::settled);
  CHECK(it.lines.size() == 2);
}

TEST_CASE("an outage is over once the backend is back and has answered those that are still there") {
  Scene it;
  it.open(0, 10, 0);
  it.change(0, BackendState::down);
  it.move(0, 0, 1);
  it.tick(30);
  it.change(0, BackendState::up);
  CHECK(it.last().back == it.now);
  CHECK(it.last().closed == 0);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().left == 9);
  CHECK(it.lines.size() == 2);
  for (uint64_t key = 1; key < 10; ++key) it.answer(key, 0, 0);
  it.tick();
  CHECK(it.last().closed == it.now);
  CHECK(it.last().end == End::back);
  CHECK(it.last()[Event::recovered] == 9);
  CHECK(it.last().left == 0);
  CHECK(it.lines.size() == 3);
}

TEST_CASE("where nobody is at risk any more when a backend comes back, its outage is over at once") {
  Scene it;
  it.open(0, 1, 0);
  it.change(0, BackendState::down);
  it.move(0, 0, 1);
  it.change(0, BackendState::up);
  CHECK(it.last().closed == it.now);
  CHECK(it.last().end == End::back);
  CHECK(it.lines.size() == 2);
}

TEST_CASE("what a home has forgotten when it is back is lost, by a restart") {
  Scene it;
  it.open(0, 3, 0);
  it.change(0, BackendState::down);
  it.change(0, BackendState::up);
  it.answer(0, 0, 0, Cost::lost, true);
  it.answer(1, 0, 0);
  it.answer(2, 0, 0, Cost::lost, true, Scene::Asked::to_change);
  it.tick();
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last()[Event::restarted] == 1);
  CHECK(it.last()[Event::uncertain] == 1);
  CHECK(it.last()[Event::recovered] == 2);
  CHECK(it.last().end == End::back);
}

TEST_CASE(
    "a session that had moved before its home came back, and is answered after, is the outage's still") {
  Scene it;
  it.open(0, 10, 0);
  it.change(0, BackendState::down);
  it.depart(0, 0, 1);
  it.tick();
  it.change(0, BackendState::up);
  for (uint64_t key = 1; key < 10; ++key) it.answer(key, 0, 0);
  it.tick();
  CHECK(it.last().left == 1);
  it.answer(0, 1, 0);
  it.tick();
  CHECK(it.count() == 1);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().closed == it.now);
}

TEST_CASE("once a backend is back, its new sessions are no part of the outage unless they are lost") {
  Scene it;
  it.open(0, 10, 0);
  it.change(0, BackendState::down);
  it.change(0, BackendState::up);
  it.open(20, 5, 0);
  it.log_out(3);
  it.log_out(20);
  it.tick();
  CHECK(it.last().joined == 0);
  CHECK(ended_by_themselves(it.last().books.all) == 1);
  it.move(21, 0, 1);
  it.tick();
  CHECK(it.last().joined == 1);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().left == 9);
  for (uint64_t key = 0; key < 10; ++key) it.answer(key, 0, 0);
  it.tick();
  CHECK(it.last().end == End::back);
  it.move(22, 0, 1);
  it.tick();
  CHECK(it.incidents.recent()[0][Event::lost] == 1);
  CHECK(it.last().kind == Kind::lapse);
}

TEST_CASE("a backend that leaves again hands those that are still at risk over to a new incident") {
  Scene it;
  it.open(0, 5, 0);
  it.change(0, BackendState::down);
  it.change(0, BackendState::up);
  it.answer(0, 0, 0);
  it.answer(1, 0, 0);
  SUBCASE("down again") {
    it.change(0, BackendState::down);
    CHECK(it.last().kind == Kind::outage);
    CHECK(it.last().at_risk == 5);
  }
  SUBCASE("draining") {
    it.change(0, BackendState::draining, Cause::order, "ada");
    CHECK(it.last().kind == Kind::drain);
    CHECK(it.last().at_risk == 5);
  }
  REQUIRE(it.count() == 2);
  const Incident& first = it.incidents.recent()[0];
  CHECK(first.end == End::interrupted);
  CHECK(first.left == 3);
  CHECK(first[Event::recovered] == 2);
}

TEST_CASE("a restart between two checks is an incident, and over once all have been answered") {
  Scene it;
  it.open(0, 4, 0);
  it.open(4, 2, 0, false);
  it.tick();
  it.restart(0);
  REQUIRE(it.count() == 1);
  CHECK(it.last().kind == Kind::restart);
  CHECK(it.last().cause == Cause::checks);
  CHECK(it.last().detail == "instance_header X has a new value");
  CHECK(it.last().at_risk == 6);
  CHECK(it.last().at_risk_returned == 4);
  CHECK(it.lines.back() ==
        "incident 1 opens: shop/a was restarted between two checks (checks: instance_header X has a new "
        "value) with 6 sessions at risk (4 returned)");
  for (uint64_t key = 0; key < 3; ++key) it.answer(key, 0, 0, Cost::lost, true);
  for (uint64_t key = 3; key < 6; ++key) it.answer(key, 0, 0);
  it.tick();
  CHECK(it.last()[Event::lost] == 3);
  CHECK(it.last()[Event::restarted] == 3);
  CHECK(it.last()[Event::recovered] == 3);
  CHECK(it.last().left == 0);
  CHECK(it.last().end == End::settled);
  CHECK(it.last().back == 0);
  CHECK(it.lost(Kind::restart, Cause::checks) == 3);
  CHECK(it.lines.size() == 2);
  it.open(20, 5, 0);
  it.tick();
  CHECK(it.count() == 1);
}

TEST_CASE("a restart without sessions opens nothing") {
  Scene it;
  it.restart(0);
  it.tick();
  it.open(0, 1, 0);
  it.tick();
  CHECK(it.count() == 0);
}

TEST_CASE("whom an outage has left at risk, a restart takes over") {
  Scene it;
  it.open(0, 5, 0);
  it.change(0, BackendState::down);
  it.change(0, BackendState::up);
  it.answer(0, 0, 0);
  it.answer(1, 0, 0);
  it.restart(0);
  REQUIRE(it.count() == 2);
  const Incident& outage = it.incidents.recent()[0];
  CHECK(outage.end == End::interrupted);
  CHECK(outage[Event::recovered] == 2);
  CHECK(outage.left == 3);
  CHECK(it.last().kind == Kind::restart);
  CHECK(it.last().at_risk == 5);
  SUBCASE("and another restart from that one") {
    it.answer(0, 0, 0, Cost::lost, true);
    it.restart(0);
    REQUIRE(it.count() == 3);
    CHECK(it.incidents.recent()[1].end == End::interrupted);
    CHECK(it.incidents.recent()[1].left == 4);
    CHECK(it.last().at_risk == 5);
  }
  SUBCASE("and another outage from that one") {
    it.answer(0, 0, 0, Cost::lost, true);
    it.change(0, BackendState::down);
    REQUIRE(it.count() == 3);
    CHECK(it.incidents.recent()[1].end == End::interrupted);
    CHECK(it.last().kind == Kind::outage);
    CHECK(it.last().at_risk == 5);
  }
}

TEST_CASE("what was lost just before a restart is known was lost to it") {
  Scene it;
  it.open(0, 10, 0);
  it.tick();
  SUBCASE("within a second") { it.move(0, 0, 1); }
  SUBCASE("as a lapse") {
    it.move(0, 0, 1);
    it.tick();
    REQUIRE(it.last().kind == Kind::lapse);
  }
  it.restart(0);
  REQUIRE(it.count() == 1);
  CHECK(it.last().kind == Kind::restart);
  CHECK(it.last().detail == "instance_header X has a new value");
  CHECK(it.last().at_risk == 10);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().left == 9);
}

TEST_CASE("while a backend drains, a restart is the drain's; after it, what is left is the restart's") {
  Scene it;
  it.open(0, 3, 0);
  it.change(0, BackendState::draining, Cause::order, "ada");
  it.restart(0);
  CHECK(it.count() == 1);
  CHECK(it.table.homes().census(0).at_risk.live == 3);
  it.answer(0, 0, 0, Cost::lost, true);
  it.answer(1, 0, 0);
  it.tick();
  REQUIRE(it.count() == 1);
  CHECK(it.last().kind == Kind::drain);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last()[Event::restarted] == 1);
  CHECK(it.last().at_risk + it.last().joined == sum_of(it.last().books.all) + it.last().left);
  it.change(0, BackendState::up, Cause::order, "ada");
  it.tick();
  REQUIRE(it.count() == 2);
  CHECK(it.last().kind == Kind::restart);
  CHECK(it.last().at_risk == 1);
  it.answer(2, 0, 0);
  it.tick();
  CHECK(it.last().end == End::settled);
}

TEST_CASE("an outage after a restart is an outage") {
  Scene it;
  it.open(0, 2, 0);
  it.restart(0);
  for (uint64_t key = 0; key < 2; ++key) it.answer(key, 0, 0);
  it.tick();
  it.change(0, BackendState::down);
  it.change(0, BackendState::draining, Cause::order, "ada");
  it.change(0, BackendState::up, Cause::order, "ada");
  it.tick();
  CHECK(it.last().kind == Kind::outage);
  CHECK(it.last().at_risk == 2);
}

TEST_CASE("what is lost while a backend drains is the drain's alone") {
  Scene it;
  it.open(0, 3, 0);
  it.change(0, BackendState::draining, Cause::order, "ada");
  it.move(0, 0, 1);
  it.tick();
  CHECK(it.count() == 1);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.lost(Kind::drain, Cause::order) == 1);
  it.change(0, BackendState::down);
  CHECK(it.count() == 2);
  CHECK(it.last()[Event::lost] == 0);
  CHECK(it.last().at_risk == 2);
}

TEST_CASE("a backend that leaves service without sessions opens nothing") {
  Scene it;
  it.change(0, BackendState::down);
  it.tick();
  it.change(0, BackendState::up);
  it.tick();
  CHECK(it.count() == 0);
}

TEST_CASE("sessions that are restored at a backend that was away already open an incident of their own") {
  Scene it;
  it.change(0, BackendState::down, Cause::checks, "timeout");
  it.tick(100);
  it.table.restore(1, 0, it.now);
  it.move(1, 0, 1);
  it.tick();
  REQUIRE(it.count() == 1);
  CHECK(it.last().kind == Kind::outage);
  CHECK(it.last().detail == "timeout");
  CHECK(it.last().at_risk == 0);
  CHECK(it.last().joined == 1);
  CHECK(it.last()[Event::lost] == 1);
}

TEST_CASE(
    "what is restored at risk once an outage is over, and lost before the next tick, is in an incident") {
  Scene it;
  it.change(0, BackendState::down);
  it.tick();
  it.change(0, BackendState::up);
  it.table.homes().set_shaken(0, it.now);
  it.tick(100);
  REQUIRE(it.count() == 0);
  it.table.restore(1, 0, it.now, 0, true, false, Scene::kStart);
  it.answer(1, 0, 0, Cost::lost, true);
  it.table.restore(2, 0, it.now, 0, true, false, Scene::kStart);
  it.answer(2, 0, 0);
  it.tick();
  REQUIRE(it.count() == 1);
  CHECK(it.last().kind == Kind::outage);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last()[Event::recovered] == 1);
  CHECK(it.last().joined == 2);
  CHECK(it.last().left == 0);
}

TEST_CASE(
    "what is lost between a drain that was called off and what comes next, within a tick, is in an "
    "incident") {
  for (const BackendState next : {BackendState::draining, BackendState::down}) {
    Scene it;
    it.open(0, 3, 0);
    it.change(0, BackendState::down);
    it.change(0, BackendState::up);
    it.change(0, BackendState::draining, Cause::order);
    it.change(0, BackendState::up, Cause::order);
    for (uint64_t key = 0; key < 3; ++key) it.answer(key, 0, 0, Cost::lost, true);
    it.change(0, next, Cause::order);
    it.tick();
    uint64_t lost = 0;
    for (const Incident& each : it.incidents.recent()) lost += each[Event::lost];
    CHECK(lost == 3);
    CHECK(it.lost() == 3);
  }
}

TEST_CASE(
    "who is lost while a backend leaves service again, before that is told, is in the incident that ends") {
  Scene it;
  it.open(0, 3, 0);
  it.change(0, BackendState::down);
  it.change(0, BackendState::up);
  for (uint64_t key = 0; key < 3; ++key) it.answer(key, 0, 0);
  it.table.homes().set_in_service(0, false);
  it.move(0, 0, 1);
  it.change(0, BackendState::down);
  REQUIRE(it.count() == 2);
  const Incident& first = it.incidents.recent().front();
  CHECK(first.at_risk == 3);
  CHECK(first.joined == 1);
  CHECK(first[Event::recovered] == 3);
  CHECK(first[Event::lost] == 1);
  CHECK(first.left == 0);
  CHECK(it.last().at_risk == 2);
  CHECK(it.last()[Event::lost] == 0);
}

TEST_CASE("one absence is one incident: who joins later is added to it, and the last line has the whole") {
  Scene it;
  it.open(0, 1, 0);
  it.change(0, BackendState::down);
  it.move(0, 0, 1);
  it.tick();
  CHECK(it.lines.size() == 2);
  for (uint64_t key = 10; key < 13; ++key) {
    it.table.restore(key, 0, it.now);
    it.tick();
    CHECK(it.last().closed == 0);
    it.move(key, 0, 1);
    it.tick();
    CHECK(it.last().closed == it.now);
  }
  CHECK(it.count() == 1);
  CHECK(it.lines.size() == 2);
  it.tick(10);
  it.change(0, BackendState::up);
  it.tick();
  it.tick();
  REQUIRE(it.lines.size() == 3);
  CHECK(it.last()[Event::lost] == 4);
  CHECK(it.last().joined == 3);
}

TEST_CASE("what a client finds lost that comes back long after the outage has an incident of its own") {
  for (const bool is_lost : {false, true}) {
    Scene it;
    it.table.set_limits(1000, {.idle = 600, .unreturned = 60, .renewal_grace = 30, .dormant = 10'000});
    it.open(0, 1, 0);
    it.tick(700);
    it.change(0, BackendState::down);
    it.change(0, BackendState::up);
    it.tick();
    it.table.find_and_touch(0, it.now);
    it.answer(0, 0, 0, Cost::lost, is_lost);
    it.tick();
    CHECK(it.lost() == is_lost);
    REQUIRE(it.count() == is_lost);
    if (!is_lost) continue;
    CHECK(it.last().kind == Kind::outage);
    CHECK(it.last().at_risk + it.last().joined == 1);
    CHECK(it.last()[Event::restarted] == 1);
    CHECK(it.last().left == 0);
    it.tick();
    CHECK(it.last().closed == it.now);
    CHECK(it.count() == 1);
  }
}

TEST_CASE("losses at a backend that never left service are a lapse, over after two quiet ticks") {
  Scene it;
  it.open(0, 10, 0);
  it.tick();
  it.move(0, 0, 1);
  it.tick();
  REQUIRE(it.count() == 1);
  CHECK(it.last().kind == Kind::lapse);
  CHECK(it.last().at_risk == 1);
  it.move(1, 0, 2, Cost::carried);
  it.tick();
  CHECK(it.last().at_risk == 2);
  CHECK(it.last().at_risk_returned == 2);
  it.tick();
  CHECK(it.last().closed == 0);
  it.tick();
  CHECK(it.last().closed == it.now);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last()[Event::carried] == 1);
  CHECK(it.count() == 1);
}

TEST_CASE("a lapse lasts while its backend is in doubt, says so, and is the outage that comes of it") {
  Scene it;
  it.open(0, 10, 0);
  it.tick();
  it.extra[0].doubt = "GET /: connection refused (1 of 3)";
  it.move(0, 0, 1);
  for (int i = 0; i < 5; ++i) it.tick();
  CHECK(it.last().kind == Kind::lapse);
  CHECK(it.last().closed == 0);
  CHECK(it.last().cause == Cause::requests);
  CHECK(it.last().detail == "GET /: connection refused (1 of 3)");
  SUBCASE("which ends") {
    it.extra[0].doubt.clear();
    it.tick();
    it.tick();
    CHECK(it.last().closed == it.now);
  }
  SUBCASE("which was right") {
    it.change(0, BackendState::down, Cause::checks, "GET /: connection refused");
    CHECK(it.last().kind == Kind::outage);
    CHECK(it.last()[Event::lost] == 1);
    CHECK(it.last().detail == "GET /: connection refused");
  }
  CHECK(it.count() == 1);
}

TEST_CASE("a lapse that an outage follows becomes that outage") {
  Scene it;
  it.open(0, 10, 0);
  it.tick();
  it.move(0, 0, 1);
  it.tick();
  it.move(1, 0, 1);
  it.change(0, BackendState::down, Cause::requests, "reset");
  CHECK(it.count() == 1);
  CHECK(it.last().kind == Kind::outage);
  CHECK(it.last().cause == Cause::requests);
  CHECK(it.last().at_risk == 10);
  CHECK(it.last()[Event::lost] == 2);
  CHECK(it.last().left == 8);
}

TEST_CASE("what was lost since the last quiet tick belongs to the outage that follows") {
  Scene it;
  it.open(0, 10, 0);
  it.tick();
  it.extra[0].requests_retried = 3;
  it.move(0, 0, 1);
  it.change(0, BackendState::down);
  CHECK(it.count() == 1);
  CHECK(it.last().at_risk == 10);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().requests_retried == 3);
}

TEST_CASE("an incident that opens while a loss is being written counts it once") {
  Scene it;
  it.open(0, 10, 0);
  it.tick();
  it.table.homes().count(0, Event::lost, true);  // a worker's first step
  it.change(0, BackendState::down);
  CHECK(it.last().at_risk == 10);
  it.table.homes().remove(0, true, 0, Event::lost);  // its second
  it.tick();
  CHECK(it.last().joined == 0);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().left == 9);
}

// Session 0 is carried while its first home is out, which then calls it back.
void call_back(Scene& it, Cost cost) {
  it.table.set_failback(true);
  it.open(0, 1, 0);
  it.change(0, BackendState::down);
  it.move(0, 0, 1, Cost::carried);
  it.change(0, BackendState::up);
  it.tick();
  it.move(0, 1, 0, cost);
  it.tick();
}

TEST_CASE("sessions that an operator moves, or their first home calls back, are no lapse") {
  Scene it;
  it.open(1, 1, 0);
  it.tick();
  it.move(1, 0, 1, Cost::moved);
  it.tick();
  CHECK(it.count() == 0);
  call_back(it, Cost::carried);
  CHECK(it.count() == 1);
  CHECK(it.last().kind == Kind::outage);
}

TEST_CASE("what their first home calls back, and finds nothing of, is lost in a lapse that says so") {
  Scene it;
  call_back(it, Cost::lost);
  REQUIRE(it.count() == 2);
  CHECK(it.last().kind == Kind::lapse);
  CHECK(it.last().backend == "b");
  CHECK(it.last().detail == "sessions went home without their data (failback)");
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().at_risk + it.last().joined == 1 + it.last().left);
}

TEST_CASE("a drain says how many it began with, how many ended by themselves, and closes at zero") {
  Scene it;
  it.open(0, 3, 0);
  it.change(0, BackendState::draining, Cause::order, "ada");
  REQUIRE(it.count() == 1);
  CHECK(it.last().kind == Kind::drain);
  CHECK(it.last().detail == "ada");
  CHECK(it.last().at_risk == 3);
  it.log_out(0);
  it.tick();
  CHECK(it.last().left == 2);
  it.tick(700);
  CHECK(ended_by_themselves(it.last().books.all) == 3);
  CHECK(it.last().end == End::settled);
  it.change(0, BackendState::maintenance, Cause::drained, "ada");
  CHECK(it.count() == 1);
  CHECK(it.lines.size() == 2);
}

TEST_CASE("a drain that may have sessions which nobody knows is told of from its beginning to its end") {
  Scene it;
  it.extra[0].has_unknown = true;
  it.change(0, BackendState::draining, Cause::order, "ada; Limpet has just begun");
  CHECK(it.last().kind == Kind::drain);
  CHECK(it.last().at_risk == 0);
  CHECK(it.lines.back() ==
        "incident 1 opens: shop/a drains (order: ada; Limpet has just begun) with 0 sessions");
  it.tick(30);
  CHECK(it.last().end == End::open);
  it.open(1, 2, 0);
  it.tick();
  CHECK(it.last().joined == 2);
  for (uint64_t key = 1; key <= 2; ++key) it.log_out(key);
  it.tick();
  CHECK(it.last().end == End::open);
  it.extra[0].has_unknown = false;
  it.change(0, BackendState::maintenance, Cause::drained, "ada");
  CHECK(it.count() == 1);
  CHECK(it.last().end == End::settled);
  CHECK(it.last().closed == it.now);
  CHECK(ended_by_themselves(it.last().books.all) == 2);
}

TEST_CASE("a drain at its deadline says how many it cut, and these are followed as a maintenance") {
  Scene it;
  it.open(0, 5, 0);
  it.change(0, BackendState::draining, Cause::order, "ada");
  it.log_out(0);
  it.tick(60);
  it.change(0, BackendState::maintenance, Cause::drain_timeout, "ada");
  REQUIRE(it.count() == 2);
  const Incident& drain = it.incidents.recent()[0];
  CHECK(drain.end == End::deadline);
  CHECK(drain.left == 4);
  CHECK(ended_by_themselves(drain.books.all) == 1);
  CHECK(it.last().kind == Kind::maintenance);
  CHECK(it.last().cause == Cause::drain_timeout);
  CHECK(it.last().at_risk == 4);
}

TEST_CASE("a drain that is called off, or that a failure interrupts, says so") {
  Scene it;
  it.open(0, 5, 0);
  it.change(0, BackendState::draining, Cause::order, "ada");
  it.change(0, BackendState::up, Cause::order, "ada");
  CHECK(it.last().end == End::back);
  CHECK(it.last().left == 5);
  it.change(0, BackendState::draining, Cause::order, "ada");
  it.change(0, BackendState::down);
  REQUIRE(it.count() == 3);
  CHECK(it.incidents.recent()[1].end == End::interrupted);
  CHECK(it.last().kind == Kind::outage);
}

TEST_CASE("a new failure within the quiet ticks after a return is a new incident") {
  Scene it;
  it.open(0, 5, 0);
  it.change(0, BackendState::down);
  it.move(0, 0, 1);
  it.change(0, BackendState::up);
  it.change(0, BackendState::down);
  it.move(1, 0, 1);
  it.tick();
  REQUIRE(it.count() == 2);
  CHECK(it.incidents.recent()[0][Event::lost] == 1);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().at_risk == 4);
}

TEST_CASE("losses are told by kind and cause, a drain's not twice, an open lapse's not yet") {
  Scene it;
  it.open(0, 20, 0);
  it.open(20, 2, 1, false);
  it.tick();
  it.move(0, 0, 1);
  it.tick();
  REQUIRE(it.last().kind == Kind::lapse);
  CHECK(it.lost() == 0);
  for (int i = 0; i < 3; ++i) it.tick();
  CHECK(it.lost(Kind::lapse, Cause::requests) == 1);
  it.change(0, BackendState::draining, Cause::order);
  it.change(0, BackendState::maintenance, Cause::drain_timeout);
  it.move(1, 0, 1);
  it.move(2, 0, 1);
  it.change(1, BackendState::down, Cause::checks);
  it.move(20, 1, 2);
  it.tick();
  CHECK(it.lost(Kind::maintenance, Cause::drain_timeout) == 2);
  CHECK(it.lost(Kind::outage, Cause::checks) == 1);
  CHECK(it.lost() == 4);
  CHECK(it.lost(Kind::drain, Cause::order) == 0);
}

TEST_CASE("losses never fall, however many incidents come after them") {
  Scene it;
  it.open(0, 4000, 0);
  it.open(4000, 2, 1);
  it.tick();
  it.change(1, BackendState::maintenance, Cause::order);
  it.move(4000, 1, 2);
  const int times = static_cast<int>(Incidents::kKept) + 1;
  for (int i = 0; i < times; ++i) {
    it.change(0, BackendState::down);
    it.move(static_cast<uint64_t>(i), 0, 2);
    it.change(0, BackendState::up);
    it.tick(0);
    REQUIRE(it.lost(Kind::outage, Cause::checks) == static_cast<uint64_t>(i + 1));
    REQUIRE(it.lost(Kind::maintenance, Cause::order) == 1);
  }
  CHECK(it.incidents.find(2) == nullptr);
  REQUIRE(it.incidents.find(1));  // it is still followed
  CHECK(it.incidents.find(1)->left == 1);
  it.move(4001, 1, 2);
  it.tick();
  CHECK(it.lost(Kind::maintenance, Cause::order) == 2);
  CHECK(it.count() == Incidents::kKept);
}

TEST_CASE("the last thousand are kept, and found by their numbers") {
  Scene it;
  it.open(0, 1, 0);
  for (int i = 0; i < 1005; ++i) {
    it.change(0, BackendState::down);
    it.change(0, BackendState::up);
  }
  CHECK(it.count() == 1000);
  CHECK(it.incidents.find(5) == nullptr);
  REQUIRE(it.incidents.find(6));
  CHECK(it.incidents.find(6)->id == 6);
  CHECK(it.incidents.find(1005)->id == 1005);
  CHECK(it.incidents.find(1006) == nullptr);
  CHECK(it.incidents.find(0) == nullptr);
}

TEST_CASE(
    "requests that failed since it answered the last time are the outage's, however late checks find it") {
  Scene it;
  it.open(0, 3, 0);
  it.requests(0, 90, 5, 2);
  it.tick();
  it.requests(0, 100, 5, 2);
  it.tick();
  it.requests(0, 110, 6, 4);  // it dies within a second
  for (int i = 0; i < 10; ++i) {
    it.tick();
    ++it.extra[0].requests_failed;
  }
  it.change(0, BackendState::down);
  it.tick();
  CHECK(it.last().requests_failed == 11);
  CHECK(it.last().requests_retried == 2);
}

TEST_CASE("a backend that dies in its first second has an incident with all that failed") {
  Scene it;
  it.open(0, 3, 0);
  it.requests(0, 90, 5, 2);
  it.tick();
  it.requests(0, 90, 8, 2);
  it.change(0, BackendState::down);
  CHECK(it.last().at_risk == 3);
  CHECK(it.last().requests_failed == 8);
  CHECK(it.last().requests_retried == 2);
}

TEST_CASE("between two ticks the numbers can be brought up to now") {
  Scene it;
  it.open(0, 3, 0);
  it.tick();
  it.change(0, BackendState::down);
  it.move(0, 0, 1);
  it.requests(0, 0, 7, 4);
  CHECK(it.last()[Event::lost] == 0);
  it.refresh(0);
  CHECK(it.last()[Event::lost] == 1);
  CHECK(it.last().left == 2);
  CHECK(it.last().requests_failed == 7);
  CHECK(it.last().requests_retried == 4);
  CHECK(it.lost() == 1);
  it.refresh(2);
  CHECK(it.count() == 1);
}

TEST_CASE("a drain's numbers can be brought up to now") {
  Scene it;
  it.open(0, 3, 0);
  it.tick();
  it.change(0, BackendState::draining, Cause::order, "");
  it.log_out(1);
  CHECK(it.last().left == 3);
  it.refresh(0);
  CHECK(it.last().left == 2);
}

TEST_CASE("answers that end after the first failures take none of these from the outage") {
  Scene it;
  it.open(0, 3, 0);
  it.requests(0, 90, 5, 2);
  it.tick();
  it.requests(0, 95, 5, 2);
  it.tick();
  for (uint64_t late = 1; late < Incidents::kAlwaysFailing; ++late) {
    it.requests(0, 95 + late, 5 + 10 * late, 2 + late);
    it.tick();
  }
  it.requests(0, 99, 60, 10);
  it.tick();
  it.change(0, BackendState::down);
  CHECK(it.last().requests_failed == 55);
  CHECK(it.last().requests_retried == 8);
}

TEST_CASE("requests that failed while it went on answering others are not the outage's") {
  Scene it;
  it.open(0, 3, 0);
  for (int i = 0; i < 10; ++i) {
    it.extra[0].requests_answered += 10;
    ++it.extra[0].requests_failed;
    it.tick();
  }
  it.change(0, BackendState::down);
  CHECK(it.last().requests_failed == 1);
}

TEST_CASE("an incident that is still open when it is no longer kept harms nobody") {
  Scene it;
  it.open(0, 1, 0);
  it.open(1, 1, 1);
  it.change(0, BackendState::down);
  for (int i = 0; i < 1005; ++i) {
    it.change(1, BackendState::down);
    it.change(1, BackendState::up);
  }
  it.tick();
  it.change(0, BackendState::up);
  for (int i = 0; i < 3; ++i) it.tick();
  CHECK(it.count() == 1000);
}

TEST_CASE("the lines for the log say what happened, why, and what it cost") {
  Scene it;
  it.open(0, 6, 0);
  it.open(6, 1, 0, false);
  it.tick();
  it.move(0, 0, 1);
  it.tick();
  it.change(0, BackendState::down);
  it.move(1, 0, 1, Cost::lost, true);
  it.extra[0].requests_failed = 1;
  it.tick(40);
  it.change(0, BackendState::up);
  for (uint64_t key = 2; key < 6; ++key) it.answer(key, 0, 0, Cost::lost, key == 2);
  it.answer(6, 0, 0);
  it.tick();
  it.change(0, BackendState::draining, Cause::reload, "");
  it.tick(60);
  it.change(0, BackendState::maintenance, Cause::drain_timeout, "");
  const std::vector<std::string> lines = {
      "incident 1 opens: shop/a loses sessions though it is in service: 1 lost, 0 carried",
      "incident 1 widens: shop/a is down (checks: connection refused) with 6 sessions at risk after 1 lost, "
      "0 carried",
      "incident 1: shop/a is back after 40 s; 5 sessions are at risk until it has answered; 2 lost so far",
      "incident 1 closes after 41 s: shop/a (outage, back); of 7 sessions (6 returned): 3 lost (2 "
      "confirmed) (1 by a restart), 4 recovered; requests: 1 failed, 0 retried",
      "incident 2 opens: shop/a drains (reload) with 5 sessions (4 returned)",
      "incident 2 closes after 1 min: shop/a (drain, deadline); of 5 sessions (4 returned): 0 lost, 1 ended "
      "by themselves, 4 cut at the deadline; requests: 0 failed, 0 retried",
      "incident 3 opens: shop/a is in maintenance (drain_timeout) with 4 sessions at risk (4 returned)",
  };
  CHECK(it.lines == lines);
}

TEST_CASE("a drain, and a maintenance by order, are routine unless they cost sessions") {
  using enum Notice::What;
  Incident it;
  it.kind = Kind::drain;
  it.cause = Cause::reload;
  CHECK(is_routine({opened, it}));
  it.end = End::settled;
  CHECK(is_routine({closed, it}));
  it.end = End::deadline;
  CHECK(is_routine({closed, it}));
  it.left = 1;
  CHECK_FALSE(is_routine({closed, it}));
  it.end = End::interrupted;
  CHECK(is_routine({closed, it}));  // what becomes of those that are left is another incident's
  it.kind = Kind::maintenance;
  it.cause = Cause::drain_timeout;
  CHECK_FALSE(is_routine({opened, it}));
  it.cause = Cause::order;
  CHECK(is_routine({opened, it}));
  it.books.all.counts[static_cast<size_t>(Event::lost)] = 1;
  CHECK_FALSE(is_routine({closed, it}));
  for (const Kind kind : {Kind::outage, Kind::lapse}) {
    it = {};
    it.kind = kind;
    CHECK_FALSE(is_routine({opened, it}));
    CHECK_FALSE(is_routine({closed, it}));
  }
}

TEST_CASE("what is open at a backend that is forgotten ends, and its slot begins anew") {
  Scene it;
  it.open(0, 2, 0);
  it.change(0, BackendState::down);
  REQUIRE(it.last().closed == 0);
  it.forget(0);
  CHECK(it.last().closed == it.now);
  CHECK(it.count() == 1);
  it.states[0] = BackendState::up;
  it.table.homes().set_in_service(0, true);
  it.change(0, BackendState::down);
  CHECK(it.count() == 2);
}

TEST_CASE("the losses of a pool that is forgotten are told no more") {
  Scene it;
  it.open(0, 1, 0);
  it.change(0, BackendState::down);
  it.move(0, 0, 1);
  it.tick();
  it.change(0, BackendState::up);
  it.tick(10);
  it.tick();
  it.tick();
  REQUIRE(it.lost() == 1);
  for (uint64_t key = 1; key <= Incidents::kKept; ++key) {
    it.open(key, 1, 1);
    it.change(1, BackendState::draining, Cause::order);
    it.log_out(key);
    it.tick();
    it.change(1, BackendState::up, Cause::order);
  }
  CHECK(it.lost() == 1);
  it.incidents.forget_pool("other");
  CHECK(it.lost() == 1);
  it.incidents.forget_pool("shop");
  CHECK(it.lost() == 0);
}

TEST_CASE(
    "incidents that are kept when their pool is forgotten count no more, then or once they are dropped") {
  Scene it;
  it.open(0, 1, 0);
  it.change(0, BackendState::down);
  it.move(0, 0, 1);
  it.tick();
  it.change(0, BackendState::up);
  it.tick();
  it.tick();
  it.tick();
  REQUIRE(it.lost() == 1);
  it.incidents.forget_pool("shop");
  CHECK(it.lost() == 0);
  CHECK(it.count() == 1);
  for (uint64_t key = 1; key <= Incidents::kKept; ++key) {
    it.open(key, 1, 1);
    it.change(1, BackendState::draining, Cause::order);
    it.log_out(key);
    it.tick();
    it.change(1, BackendState::up, Cause::order);
  }
  CHECK(it.lost() == 0);
}

}  // namespace limpet::health::incidents_test
