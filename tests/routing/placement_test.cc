#include "routing/placement.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "routing/hash.h"
#include "routing/session_table.h"

namespace limpet::routing::placement_test {

using Room = SessionTable::Room;

constexpr uint32_t kNow = 1'700'000'000;
constexpr uint64_t kSeed = 701;

// A fleet, its sessions, and a placement that reserves what it picks, as a request does.
struct Stage {
  Stage(conf::Placement how, std::vector<uint32_t> weights, bool opens_seldom = false)
      : placement(how, kSeed, opens_seldom) {
    for (const uint32_t weight : weights) {
      Backend backend;
      backend.name = "app-" + std::to_string(fleet.backends.size());
      backend.id = backend_id(backend.name);
      backend.weight = weight;
      fleet.backends.push_back(backend);
    }
  }

  Permits permits;
  Slot pick(uint64_t client = 0) { return placement.pick({fleet, tried, table.homes(), permits}, client); }
  Slot place() {
    const Slot slot = pick();
    if (slot != kNoSlot) table.open(++sessions, slot, kNow, Room::none, SessionTable::Begun::by_answer);
    return slot;
  }
  std::map<Slot, int> placed(int count) {
    std::map<Slot, int> counts;
    for (int i = 0; i < count; ++i) ++counts[place()];
    return counts;
  }
  std::map<Slot, int> picked(int count) {
    std::map<Slot, int> counts;
    for (int i = 0; i < count; ++i) ++counts[pick()];
    return counts;
  }

  Fleet fleet;
  Tried tried;
  SessionTable table{100'000, {.idle = 600, .unreturned = 600}};
  Placement placement;
  uint64_t sessions = 0;
};

constexpr conf::Placement kAll[] = {conf::Placement::least_sessions, conf::Placement::round_robin,
                                    conf::Placement::hash, conf::Placement::random_two};

bool near(int count, double expected) { return count > expected * 0.9 && count < expected * 1.1; }

TEST_CASE("whatever the placement, backends that take no new sessions or were tried get none") {
  for (const conf::Placement how : kAll) {
    Stage stage(how, {100, 100, 0, 100, 100, 100});
    stage.fleet.backends[0].state = BackendState::draining;
    stage.fleet.backends[1].state = BackendState::down;
    stage.fleet.backends[3].state = BackendState::maintenance;
    stage.tried.add(4);
    const auto counts = stage.placed(50);
    CHECK(counts.size() == 1);
    CHECK(counts.at(5) == 50);
  }
}

TEST_CASE("whatever the placement, a backend with max_sessions gets no more, reservations included") {
  for (const conf::Placement how : kAll) {
    Stage stage(how, {1000, 1});
    stage.fleet.backends[0].max_sessions = 10;
    for (int i = 0; i < 4; ++i) REQUIRE(stage.table.homes().reserve(0, 10));
    const auto counts = stage.placed(100);
    CHECK(counts.at(0) == 6);
    CHECK(counts.at(1) == 94);
  }
}

TEST_CASE("whatever the placement, there is no place where nobody may take a session") {
  for (const conf::Placement how : kAll) {
    Stage stage(how, {0, 0});
    CHECK(stage.pick() == kNoSlot);
    CHECK(Stage(how, {}).pick() == kNoSlot);
  }
}

TEST_CASE("whatever the placement, sessions spread as the weights say") {
  for (const conf::Placement how : kAll) {
    Stage stage(how, {100, 200, 300});
    const auto counts = stage.placed(12000);
    CAPTURE(static_cast<int>(how));
    CHECK(near(counts.at(0), 2000));
    CHECK(near(counts.at(1), 4000));
    CHECK(near(counts.at(2), 6000));
  }
}

TEST_CASE("whatever the placement, a backend that warms up gets its part of its share") {
  for (const conf::Placement how : kAll) {
    Stage stage(how, {200, 200});
    stage.fleet.backends[0].warmth = kWarm / 4;
    const auto counts = stage.placed(5000);
    CAPTURE(static_cast<int>(how));
    CHECK(near(counts.at(0), 1000));
  }
}

TEST_CASE("least_sessions picks the backend with the fewest sessions for its weight") {
  Stage stage(conf::Placement::least_sessions, {100, 200});
  for (int i = 0; i < 3; ++i) REQUIRE(stage.table.homes().reserve(0, 0));
  for (int i = 0; i < 5; ++i) REQUIRE(stage.table.homes().reserve(1, 0));
  CHECK(stage.picked(20).at(1) == 20);  // 3 / 100 against 5 / 200
  for (int i = 0; i < 2; ++i) REQUIRE(stage.table.homes().reserve(1, 0));
  CHECK(stage.picked(20).at(0) == 20);  // 3 / 100 against 7 / 200
}

TEST_CASE("least_sessions breaks ties by weight, not by the order in the file") {
  Stage alike(conf::Placement::least_sessions, {1, 1, 1, 1});
  for (const auto& [slot, count] : alike.picked(4000)) CHECK(near(count, 1000));
  Stage weighted(conf::Placement::least_sessions, {100, 300});  // neither has a session
  CHECK(near(weighted.picked(4000).at(1), 3000));
}

TEST_CASE("where requests open sessions but seldom, least_sessions lets all with about as few take turns") {
  Stage stage(conf::Placement::least_sessions, {100, 200, 100}, true);
  for (int i = 0; i < 80; ++i) REQUIRE(stage.table.homes().reserve(0, 0));
  for (int i = 0; i < 180; ++i) REQUIRE(stage.table.homes().reserve(1, 0));
  for (int i = 0; i < 92; ++i) REQUIRE(stage.table.homes().reserve(2, 0));
  const auto counts = stage.picked(300);  // 80 and 90 for a weight of 100; 92 are too many
  CHECK(counts.size() == 2);
  CHECK(counts.at(0) == 100);
  CHECK(counts.at(1) == 200);
}

TEST_CASE("where requests open sessions but seldom, the emptiest still fills up first") {
  Stage stage(conf::Placement::least_sessions, {100, 100}, true);
  for (int i = 0; i < 40; ++i) REQUIRE(stage.table.homes().reserve(0, 0));
  CHECK(stage.placed(30).at(1) == 30);
  const auto later = stage.placed(1000);
  CHECK(near(later.at(0), 500));
  const int64_t apart = static_cast<int64_t>(stage.table.homes().load(0)) - stage.table.homes().load(1);
  CHECK(std::abs(apart) <= 10);
}

TEST_CASE("round_robin gives each backend its exact share of every round, spread out") {
  Stage stage(conf::Placement::round_robin, {5, 1, 1});
  std::string order;
  for (int i = 0; i < 14; ++i) order += static_cast<char>('a' + stage.pick());
  CHECK(order == "aabacaaaabacaa");
}

TEST_CASE("whatever the placement, threads that place at once always find a backend") {
  for (const conf::Placement how : kAll) {
    for (const bool opens_seldom : {false, true}) {
      Stage stage(how, {100, 100, 100}, opens_seldom);
      std::atomic<int> lost{0};
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
          for (int i = 0; i < 5000; ++i) {
            const Slot slot = stage.pick();
            if (slot == kNoSlot || !stage.table.homes().reserve(slot, 0)) ++lost;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      CAPTURE(static_cast<int>(how));
      CHECK(lost == 0);
    }
  }
}

TEST_CASE("round_robin keeps its shares about right when threads take turns at once") {
  Stage stage(conf::Placement::round_robin, {300, 100});
  std::atomic<int> first{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) first += stage.pick() == 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(near(first, 15000));
}

TEST_CASE("hash places a client where it was placed before, and clients as the weights say") {
  Stage stage(conf::Placement::hash, {100, 200, 300});
  std::map<Slot, int> counts;
  for (uint64_t client = 1; client <= 12000; ++client) {
    const Slot slot = stage.pick(mixed(client));
    CHECK(stage.pick(mixed(client)) == slot);
    ++counts[slot];
  }
  CHECK(near(counts.at(0), 2000));
  CHECK(near(counts.at(1), 4000));
  CHECK(near(counts.at(2), 6000));
}

TEST_CASE("random_two prefers the less loaded, and never the most loaded of three") {
  Stage stage(conf::Placement::random_two, {1, 1, 1});
  for (int i = 0; i < 100; ++i) REQUIRE(stage.table.homes().reserve(1, 0));
  for (int i = 0; i < 50; ++i) REQUIRE(stage.table.homes().reserve(2, 0));
  const auto counts = stage.picked(3000);
  CHECK_FALSE(counts.contains(1));
  CHECK(near(counts.at(0), 2000));  // drawn in two of three pairs, and wins both
  CHECK(near(counts.at(2), 1000));
}

}  // namespace limpet::routing::placement_test
