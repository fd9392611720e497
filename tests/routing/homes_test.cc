#include "routing/homes.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace limpet::routing::homes_test {

TEST_CASE("a place that is reserved is load, and becomes a session's or is given back") {
  Homes homes;
  REQUIRE(homes.reserve(3, 2));
  REQUIRE(homes.reserve(3, 2));
  CHECK_FALSE(homes.reserve(3, 2));
  CHECK(homes.load(3) == 2);
  CHECK(homes.live(3) == 0);
  homes.add(3, false, true);
  homes.release(3);
  CHECK(homes.load(3) == 1);
  CHECK(homes.live(3) == 1);
  CHECK(homes.reserve(3, 0));  // no limit
}

TEST_CASE("a session that goes takes its load along, and its part in those that had returned") {
  Homes homes;
  homes.add(0, true, false);
  homes.add(0, false, false);
  homes.came_back(0);
  CHECK(homes.census(0).live_returned == 2);
  homes.remove(0, true);
  CHECK(homes.census(0).live == 1);
  CHECK(homes.census(0).live_returned == 1);
  CHECK(homes.load(0) == 1);
}

TEST_CASE("a backend is in service until it is said not to be") {
  Homes homes;
  CHECK(homes.in_service(7));
  CHECK(homes.census(7).in_service);
  homes.set_in_service(7, false);
  CHECK_FALSE(homes.in_service(7));
  CHECK_FALSE(homes.census(7).in_service);
  CHECK(homes.in_service(6));
}

TEST_CASE("sessions are at risk while their home is out of service, and recover once when it comes back") {
  Homes homes;
  homes.add(1, true, false);
  homes.add(1, false, false);
  homes.add(2, false, false);
  CHECK(homes.sum().at_risk == 0);
  homes.set_in_service(1, false);
  homes.set_in_service(1, false);
  CHECK(homes.sum().at_risk == 2);
  CHECK(homes.sum().at_risk_returned == 1);
  CHECK(homes.sum().recovered == 0);
  homes.set_in_service(1, true);
  homes.set_in_service(1, true);
  CHECK(homes.sum().at_risk == 0);
  CHECK(homes.sum().recovered == 2);
  CHECK(homes.sum().recovered_returned == 1);
  CHECK(homes.census(1).books.all[Event::recovered] == 2);
  CHECK(homes.census(2).books.all[Event::recovered] == 0);
}

TEST_CASE("what happens to a home's sessions is counted, and how many of them had returned") {
  Homes homes;
  homes.count(5, Event::lost, true);
  homes.count(5, Event::lost, false);
  homes.count(5, Event::opened, false);
  const HomeCensus census = homes.census(5);
  CHECK(census.books.all[Event::lost] == 2);
  CHECK(census.books.returned[Event::lost] == 1);
  CHECK(census.books.all.begun() == 1);
  CHECK(census.books.all.ended() == 2);
}

TEST_CASE("only those that brought their data, or had none, arrive") {
  Homes homes;
  for (int i = 0; i < 3; ++i) REQUIRE(homes.reserve(4, 0));
  homes.arrive(4, true, true);
  homes.arrive(4, false, false);
  const HomeCensus census = homes.census(4);
  CHECK(census.arrived == 1);
  CHECK(census.live == 2);
  CHECK(census.live_returned == 1);
  CHECK(homes.load(4) == 3);
}

TEST_CASE("homes far apart are apart") {
  Homes homes;
  const Slot slots[] = {0, 63, 64, 5000, kGoneSlot};
  for (const Slot slot : slots) homes.add(slot, false, false);
  for (const Slot slot : slots) CHECK(homes.live(slot) == 1);
  homes.set_in_service(kGoneSlot, false);
  CHECK(homes.sum().at_risk == 1);
}

TEST_CASE("every event has a name of its own") {
  std::set<std::string> names;
  for (size_t i = 0; i < kEvents; ++i) names.insert(text(static_cast<Event>(i)));
  CHECK(names.size() == kEvents);
  CHECK(std::string(text(Event::opened)) == "opened");
  CHECK(std::string(text(Event::evicted)) == "evicted");
  CHECK(std::string(text(Event::confirmed)) == "confirmed");
}

TEST_CASE("books add up, and their difference is what happened in between") {
  Books before, after;
  before.count(Event::opened, false, 3);
  after = before;
  after.count(Event::opened, false);
  after.count(Event::expired, true, 2);
  const Books between = after - before;
  CHECK(between.all.begun() == 1);
  CHECK(between.all.ended() == 2);
  CHECK(between.returned[Event::expired] == 2);
  CHECK(between.returned[Event::opened] == 0);
  before += between;
  CHECK(before == after);
}

}  // namespace limpet::routing::homes_test
