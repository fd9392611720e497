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
  const uint16_t spell = homes.add(0, true, false);
  homes.add(0, false, false);
  homes.came_back(0, spell);
  CHECK(homes.census(0).live_returned == 2);
  homes.remove(0, true, spell, Event::expired);
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

TEST_CASE("sessions are at risk from the moment that their home leaves service, until it has answered them") {
  Homes homes;
  uint16_t one = homes.add(1, true, false), other = homes.add(1, false, false);
  homes.add(2, false, false);
  CHECK(homes.sum().at_risk == 0);
  homes.set_in_service(1, false);
  homes.set_in_service(1, false);
  CHECK(homes.sum().at_risk == 2);
  CHECK(homes.sum().at_risk_returned == 1);
  CHECK_FALSE(homes.recover(1, true, one));
  uint16_t late = homes.add(1, true, false);
  CHECK(homes.census(1).at_risk.joined == 1);
  homes.set_in_service(1, true);
  homes.set_in_service(1, true);
  CHECK(homes.sum().at_risk == 3);
  CHECK(homes.is_at_risk(1, one));
  CHECK(homes.recover(1, true, one));
  CHECK_FALSE(homes.recover(1, true, one));
  CHECK_FALSE(homes.is_at_risk(1, one));
  homes.remove(1, false, other, Event::lost);
  CHECK(homes.recover(1, true, late));
  homes.remove(1, true, late, Event::lost);
  const AtRisk at_risk = homes.census(1).at_risk;
  CHECK(at_risk.live == 0);
  CHECK(at_risk.put == 2);
  CHECK(at_risk.books.all[Event::recovered] == 2);
  CHECK(at_risk.books.all[Event::lost] == 1);
  CHECK(homes.census(1).lost_in_service.all[Event::lost] == 1);
  CHECK(homes.census(2).at_risk.put == 0);
}

TEST_CASE(
    "of those that were not at risk, the lost and the carried are counted, and whom its first home called "
    "back") {
  Homes homes;
  for (const Event how : {Event::lost, Event::carried, Event::moved, Event::expired})
    for (const bool called_back : {false, true})
      homes.remove(0, true, homes.add(0, true, false), how, called_back);
  const HomeCensus census = homes.census(0);
  CHECK(census.lost_in_service.all[Event::lost] == 2);
  CHECK(census.lost_in_service.returned[Event::carried] == 2);
  CHECK(census.lost_in_service.all.ended() == 2);
  CHECK(census.lost_by_failback == 1);
  CHECK(census.failed_back == 1);
}

TEST_CASE("sessions can be put at risk though their home is in service") {
  Homes homes;
  uint16_t spell = homes.add(0, false, false);
  homes.put_at_risk(0);
  CHECK(homes.in_service(0));
  CHECK(homes.census(0).at_risk.live == 1);
  homes.came_back(0, spell);
  CHECK(homes.census(0).at_risk.returned == 1);
  CHECK(homes.recover(0, true, spell));
  CHECK(homes.census(0).at_risk.returned == 0);
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
