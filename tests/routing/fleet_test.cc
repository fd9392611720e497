#include "routing/fleet.h"

#include <doctest/doctest.h>

#include "routing/hash.h"

namespace limpet::routing::fleet_test {

TEST_CASE("a fleet has the pool's backends in the file's order, up, and knows them by their names' hashes") {
  conf::Pool pool;
  pool.backends.resize(2);
  pool.backends[0].name = "a";
  pool.backends[0].weight = 10;
  pool.backends[0].max_sessions = 5;
  pool.backends[1].name = "b";
  pool.backends[1].weight = 0;
  const Fleet fleet = Fleet::from(pool);
  REQUIRE(fleet.backends.size() == 2);
  CHECK(fleet.backends[0].name == "a");
  CHECK(fleet.backends[0].weight == 10);
  CHECK(fleet.backends[0].max_sessions == 5);
  CHECK(fleet.backends[0].state == BackendState::up);
  CHECK(fleet.find(backend_id("b")) == 1);
  CHECK(fleet.find(backend_id("c")) == kNoSlot);
}

TEST_CASE("a backend's state says whom it serves") {
  struct Expected {
    BackendState state;
    uint32_t weight;
    bool takes_new_sessions, serves_its_own;
  };
  for (const Expected& expected : {Expected{BackendState::up, 1, true, true},
                                   {BackendState::up, 0, false, true},
                                   {BackendState::draining, 1, false, true},
                                   {BackendState::down, 1, false, false},
                                   {BackendState::maintenance, 1, false, false}}) {
    Backend backend;
    backend.state = expected.state;
    backend.weight = expected.weight;
    CHECK(backend.takes_new_sessions() == expected.takes_new_sessions);
    CHECK(backend.serves_its_own() == expected.serves_its_own);
  }
}

TEST_CASE(
    "a fleet finds its backends by name and knows who backs them up: the one that is named, or another") {
  conf::Pool pool;
  pool.backends.resize(3);
  pool.backends[0].name = "a";
  pool.backends[1].name = "b";
  pool.backends[2].name = "c";
  pool.backends[0].backup = "c";
  const Fleet fleet = Fleet::from(pool);
  CHECK(fleet.find("b") == 1);
  CHECK(fleet.find("d") == kNoSlot);
  CHECK(fleet.backends[0].backup == 2);
  CHECK(fleet.backends[1].backup != 1);
  CHECK(fleet.backends[1].backup < 3);
  pool.backends.resize(1);
  pool.backends[0].backup.clear();
  CHECK(Fleet::from(pool).backends[0].backup == kNoSlot);
}

TEST_CASE("a backend that warms up has that much of its weight") {
  Backend backend;
  backend.weight = 7;
  const uint32_t whole = backend.effective_weight();
  backend.warmth = kWarm / 4;
  CHECK(backend.effective_weight() * 4 == whole);
}

}  // namespace limpet::routing::fleet_test
