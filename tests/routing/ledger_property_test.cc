// The ledger against what clients see, in worlds of every kind of pool: the books balance after every event,
// and what was lost and carried is exactly what clients found.
#include <doctest/doctest.h>

#include "tests/routing/session_world.h"

namespace limpet::routing::ledger_property_test {

using namespace limpet::routing::test;
using Kind = conf::AffinityKind;

const std::vector<std::vector<Kind>> kAffinities = {{Kind::ip},
                                                    {Kind::cookie},
                                                    {Kind::session_id},
                                                    {Kind::session_id, Kind::cookie},
                                                    {Kind::cookie, Kind::ip}};

conf::Pool pool_for(uint64_t number) {
  conf::Pool pool = pool_of(4, kAffinities[number % 5]);
  pool.storage = static_cast<conf::Storage>(number / 5 % 4);
  pool.failback = static_cast<conf::Failback>(number / 20 % 2);
  pool.failover = static_cast<conf::Failover>(number / 40 % 4 == 0);
  pool.placement = static_cast<conf::Placement>(number / 3 % 4);
  pool.idle_timeout = std::chrono::seconds(100);
  pool.unreturned_timeout = std::chrono::seconds(30);
  for (size_t i = 0; i < 4 && pool.storage == conf::Storage::backup; ++i)
    pool.backends[i].backup = pool.backends[(i + 1) % 4].name;
  pool.max_sessions = number % 3 == 0 ? 25 : 1000;
  pool.session_id.adopts_ids = number / 2 % 2 == 0;
  pool.stateless_paths = {"/static"};
  pool.backends[0].weight = 200;
  pool.backends[1].max_sessions = number % 4 == 0 ? 6 : 0;
  return pool;
}

// A tenth of the steps where each takes ten times as long; release_tests has them all.
#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kSteps = 700;
#else
constexpr uint64_t kSteps = 7000;
#endif
constexpr uint64_t kWorlds = 160, kOften = kSteps / 14;

void run(World& world) {
  for (uint64_t step = 0; step < kSteps; ++step) {
    CAPTURE(step);
    world.step();
    world.check();
    if (step % 300 == 0) world.check_fully();
  }
  world.wind_up();
}

TEST_CASE("the books balance after every event, and what is lost and carried is what clients saw") {
  Tally sum;
  World::Seen seen;
  for (uint64_t number = 0; number < kWorlds; ++number) {
    const uint64_t seed = 7000 + number;
    INFO("seed " << seed);
    World world(pool_for(number), {.forgets_former_ids = number % 2 == 0, .waits = number % 7 == 0}, seed);
    run(world);
    sum += world.census().books.all;
    seen.answers += world.seen().answers;
    seen.logouts += world.seen().logouts;
    seen.moves += world.seen().moves;
    seen.late += world.seen().late;
    seen.ignored += world.seen().ignored;
  }
  MESSAGE((kWorlds * kSteps) << " events, " << seen.answers << " answers; clients saw " << seen.logouts
                             << " logouts and " << seen.moves << " moves; of the answers " << seen.late
                             << " were late, and " << seen.ignored << " overtaken");
  // Everything that can happen did, or the test shows less than it says.
  for (size_t event = 0; event < kEvents; ++event) {
    INFO(std::string(text(static_cast<Event>(event))));
    CHECK(sum.counts[event] > kOften);
  }
  CHECK(seen.late > kOften);
  CHECK(seen.ignored > kOften);
}

}  // namespace limpet::routing::ledger_property_test
