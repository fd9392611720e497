#include "src/status/collect.h"

#include <doctest/doctest.h>

namespace limpet::status::collect_test {

using routing::BackendState;

routing::Fleet two_backends() {
  routing::Fleet fleet;
  fleet.backends.resize(2);
  fleet.backends[0].name = "a";
  fleet.backends[1].name = "b";
  return fleet;
}

std::string why(routing::Slot home, routing::Slot booked_at, routing::Slot first_home, BackendState state) {
  return status::why_there({.home = home, .booked_at = booked_at, .first_home = first_home}, two_backends(),
                           state);
}

TEST_CASE("a pool's requests are those of all its backends and workers") {
  const status::Meters meters = {std::make_shared<proxy::PoolMeter>(), std::make_shared<proxy::PoolMeter>()};
  meters[0]->backends[0].answers[2].add(3);
  meters[1]->backends[0].answers[2].add(20);
  meters[1]->backends[2].answers[5].add(100);
  meters[1]->backends[2].failed.add(7);
  const status::RequestReport all = status::requests_of_all(meters, 3);
  CHECK(all.answers[2] == 23);
  CHECK(all.answered() == 123);
  CHECK(all.failed == 7);
}

TEST_CASE("a session that never moved is at its home") {
  CHECK(why(1, 1, 1, BackendState::up) == "its home");
  CHECK(why(1, 1, 1, BackendState::draining) == "its home");
}

TEST_CASE("a session whose home is out of service is at risk") {
  CHECK(why(1, 1, 1, BackendState::down) == "at risk: b is down");
  CHECK(why(1, 1, 0, BackendState::maintenance) == "at risk: b is in maintenance");
}

TEST_CASE("a session that nobody has answered since it moved is on its way") {
  CHECK(why(1, 0, 0, BackendState::up) == "on its way from a, which has its data");
}

TEST_CASE("a session that would fail back has moved") {
  CHECK(why(1, 1, 0, BackendState::up) == "moved from a");
}

TEST_CASE("a backend that nobody knows has no name") {
  CHECK(why(routing::kGoneSlot, routing::kGoneSlot, routing::kGoneSlot, BackendState::down) ==
        "at risk: a backend that the file has not named since Limpet started is down");
}

}  // namespace limpet::status::collect_test
