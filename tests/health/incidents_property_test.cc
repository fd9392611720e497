// Random lives of sessions and backends: whatever happens, incidents count what the books count.

#include <doctest/doctest.h>

#include "tests/health/scene.h"
#include "tests/routing/random_inputs.h"

namespace limpet::health::incidents_property_test {

using limpet::health::test::Scene;
using limpet::routing::Event;
using limpet::routing::SessionTable;
using limpet::routing::test::Inputs;

void request(Scene& it, Inputs& inputs) {
  const uint64_t key = inputs.below(60);
  const auto found = it.table.find_and_touch(key, it.now);
  const auto other = static_cast<Slot>(inputs.below(Scene::kBackends));
  if (found.home == limpet::routing::kNoSlot) {
    if (inputs.one_in(4)) {
      it.table.restore(key, other, it.now);
    } else if (it.states[other] == BackendState::up) {
      it.open(key, 1, other, false);
    }
    return;
  }
  const bool fails = !in_service(it.states[found.home]) || inputs.one_in(50);
  if (fails && other != found.home && in_service(it.states[other])) {
    it.depart(key, found.home, other);
  }
  if (inputs.one_in(20)) it.log_out(key);
  if (inputs.one_in(20)) it.pin(key, other);
}

void answer(Scene& it, Inputs& inputs) {
  const uint64_t key = inputs.below(60);
  const auto session = it.table.find(key, it.now);
  if (session.home == limpet::routing::kNoSlot) return;
  const bool late = inputs.one_in(10);
  const Slot slot = late ? static_cast<Slot>(inputs.below(Scene::kBackends)) : session.home;
  const auto cost = inputs.one_in(3) ? Scene::Cost::carried : Scene::Cost::lost;
  it.answer(key, slot, session.booked_at, cost, inputs.one_in(2));
}

void turn(Scene& it, Inputs& inputs) {
  const auto slot = static_cast<Slot>(inputs.below(Scene::kBackends));
  if (inputs.one_in(3) && in_service(it.states[slot])) return it.restart(slot);
  const auto to = inputs.one_in(2) ? BackendState::up : static_cast<BackendState>(inputs.below(4));
  if (to == it.states[slot]) return;
  const bool over =
      it.states[slot] == BackendState::draining && to == BackendState::maintenance && inputs.one_in(2);
  it.change(slot, to, over ? Cause::drain_timeout : Cause::checks);
}

// All together have every loss, and none twice.
void check_losses(const Scene& it) {
  uint64_t lost = 0, carried = 0, lost_by_books = 0, carried_by_books = 0;
  for (const Incident& incident : it.incidents.recent()) {
    lost += incident[Event::lost];
    carried += incident[Event::carried];
  }
  for (Slot slot = 0; slot < Scene::kBackends; ++slot) {
    const auto books = it.table.homes().census(slot).books;
    lost_by_books += books.all[Event::lost];
    carried_by_books += books.all[Event::carried];
  }
  CHECK(lost == lost_by_books);
  CHECK(carried == carried_by_books);
}

// Every session of an incident is somewhere.
void check_balance(const Incident& it) {
  CAPTURE(it.id);
  CAPTURE(text(it.kind));
  CAPTURE(text(it.end));
  CHECK(it.at_risk + it.joined == sum_of(it.books.all) + it.left);
}

TEST_CASE("every loss is in exactly one incident, and each incident's sessions add up") {
  uint64_t incidents = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    LIMPET_RANDOM_INPUTS(seed);
    Scene it;
    for (int i = 0; i < 3000 && it.count() < 900; ++i) {
      const uint64_t what = inputs.below(100);
      if (what < 45) request(it, inputs);
      if (what >= 45 && what < 80) answer(it, inputs);
      if (what >= 80 && what < 97) it.tick(inputs.one_in(50) ? 700 : 1);
      if (what >= 97) turn(it, inputs);
      if (inputs.one_in(100)) {
        for (Slot slot = 0; slot < Scene::kBackends; ++slot) it.refresh(slot);
        for (const Incident& incident : it.incidents.recent()) check_balance(incident);
      }
    }
    it.tick();
    check_losses(it);
    for (const Incident& incident : it.incidents.recent()) check_balance(incident);
    incidents += it.count();
  }
  CHECK(incidents > 1000);
}

}  // namespace limpet::health::incidents_property_test
