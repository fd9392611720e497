#include "routing/fleet.h"

#include <doctest/doctest.h>

#include <string>

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
    "a fleet finds its backends by name and knows who backs them up: the one that is named, or whoever") {
  conf::Pool pool;
  pool.storage = conf::Storage::backup;
  pool.backends.resize(3);
  pool.backends[0].name = "a";
  pool.backends[1].name = "b";
  pool.backends[2].name = "c";
  pool.backends[0].backup = "c";
  const Fleet fleet = Fleet::from(pool);
  CHECK(fleet.find("b") == 1);
  CHECK(fleet.find("d") == kNoSlot);
  CHECK(fleet.backends[0].backup == 2);
  CHECK(fleet.backends[1].backup == kNoSlot);
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

conf::Pool pool_of(size_t count, size_t first = 0) {
  conf::Pool pool;
  for (size_t i = 0; i < count; ++i) pool.backends.emplace_back().name = "app-" + std::to_string(first + i);
  return pool;
}

TEST_CASE("a fleet of any size finds each of its backends, by name and by id, and no other") {
  for (const size_t count : {1u, 16u, 17u, 1000u}) {
    const Fleet fleet = Fleet::from(pool_of(count));
    for (size_t i = 0; i < count; ++i) {
      CHECK(fleet.find("app-" + std::to_string(i)) == i);
      CHECK(fleet.find(backend_id("app-" + std::to_string(i))) == i);
    }
    CHECK(fleet.find("app-" + std::to_string(count)) == kNoSlot);
    CHECK(fleet.find("") == kNoSlot);
  }
}

TEST_CASE("a backend that the pool does not name any more keeps its slot, unlisted, until that is freed") {
  const Fleet before = Fleet::from(pool_of(3));
  Fleet fleet = Fleet::from(pool_of(1), before);
  CHECK(fleet.find("app-1") == 1);
  CHECK_FALSE(fleet.backends[1].listed);
  const Slot gone[] = {1, 2};
  fleet.free(gone);
  CHECK(fleet.find("app-1") == kNoSlot);
  CHECK(fleet.find(backend_id("app-2")) == kNoSlot);
  CHECK(fleet.backends[1].is_free());
  CHECK_FALSE(fleet.backends[1].takes_new_sessions());
  CHECK_FALSE(fleet.backends[1].serves_its_own());
}

TEST_CASE("a new backend takes a slot only when that is reusable, and has nothing of who had it before") {
  Fleet fleet = Fleet::from(pool_of(3));
  fleet.backends[1].state = BackendState::down;
  fleet.backends[1].warmth = 5;
  fleet = Fleet::from(pool_of(1), fleet);
  const Slot gone[] = {1, 2};
  fleet.free(gone);
  const Slot reusable[] = {1};
  conf::Pool pool = pool_of(1);
  pool.backends.emplace_back().name = "x";
  pool.backends.emplace_back().name = "y";
  const Fleet next = Fleet::from(pool, fleet, reusable);
  CHECK(next.find("x") == 1);
  CHECK(next.find("y") == 3);
  CHECK(next.backends[2].is_free());
  CHECK(next.backends[1].state == BackendState::up);
  CHECK(next.backends[1].warmth == kWarm);
  CHECK(next.backends[1].listed);
}

TEST_CASE("a backup that is gone backs nobody up") {
  conf::Pool pool = pool_of(2);
  pool.storage = conf::Storage::backup;
  pool.backends[0].backup = pool.backends[1].name;
  Fleet fleet = Fleet::from(pool);
  REQUIRE(fleet.backends[0].backup == 1);
  const Slot gone[] = {1};
  fleet.free(gone);
  CHECK(fleet.backends[0].backup == kGoneSlot);  // which is nobody, and not whoever
}

}  // namespace limpet::routing::fleet_test
