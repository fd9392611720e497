// A flood at the default size of a table.
#include <doctest/doctest.h>

#include "routing/hash.h"
#include "routing/session_table.h"

namespace limpet::routing::session_flood_test {

TEST_CASE(
    "two million visitors that keep nothing push out none of those that returned, in a table of a million") {
  constexpr uint32_t kNow = 1'700'000'000;
  constexpr uint64_t kMost = 1'000'000, kReturned = 950'000, kFlood = 2'000'000;
  SessionTable table(kMost, {.idle = 1800, .unreturned = 60, .renewal_grace = 30, .dormant = 86'400});
  for (uint64_t i = 0; i < kReturned; ++i) table.restore(mixed(i), 0, kNow);
  for (uint64_t i = 0; i < kFlood; ++i) {
    table.open(mixed(kReturned + i), 0, kNow + 1, SessionTable::Room::none, SessionTable::Begun::by_answer);
  }
  const Census census = table.census();
  CHECK(census.books.returned[Event::evicted] == 0);
  CHECK(census.books.all[Event::evicted] == kFlood - (kMost - kReturned));
  CHECK(census.live_returned == kReturned);
  CHECK(census.entries == kMost);
  CHECK(census.imbalance == 0);
}

}  // namespace limpet::routing::session_flood_test
