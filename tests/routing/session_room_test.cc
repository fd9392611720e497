#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "routing/hash.h"
#include "tests/routing/random_inputs.h"
#include "tests/routing/session_tables.h"

namespace limpet::routing::session_room_test {

using namespace limpet::routing::session_tables;
using Room = SessionTable::Room;
using Begun = SessionTable::Begun;

TEST_CASE("a full table holds its bound, evicts for every session more, and says so") {
  LIMPET_RANDOM_INPUTS(601);
  for (const uint64_t most : {1u, 10u, 5000u}) {
    SessionTable table(most, kTimeouts);
    for (int i = 0; i < 20000; ++i) table.open(inputs.number(), 0, kNow, Room::none, Begun::by_answer);
    const Census census = table.census();
    CHECK(census.live == most);
    CHECK(census.books.all[Event::evicted] == 20000 - most);
    check_books(table, 1);
  }
}

TEST_CASE("a flood of clients that never return pushes out nobody who did, however few others there were") {
  LIMPET_RANDOM_INPUTS(602);
  for (const uint64_t others : {5000u, 500u, 200u}) {
    CAPTURE(others);
    SessionTable table(10000, kTimeouts);
    for (uint64_t i = 0; i < 10000 - others; ++i) table.restore(inputs.number(), 0, kNow);
    for (int i = 0; i < 100000; ++i) table.open(inputs.number(), 0, kNow + 1, Room::none, Begun::by_answer);
    const Books books = table.census().books;
    CHECK(books.all[Event::evicted] == 100000 - others);
    CHECK(books.returned[Event::evicted] == 0);
    check_books(table, 1);
  }
}

TEST_CASE("in a table full of sessions that returned, visitors push out one of them, and then each other") {
  LIMPET_RANDOM_INPUTS(604);
  SessionTable table(1000, kTimeouts);
  for (int i = 0; i < 1000; ++i) table.restore(inputs.number(), 0, kNow);
  for (int i = 0; i < 1000; ++i) table.open(inputs.number(), 0, kNow, Room::none, Begun::by_answer);
  CHECK(table.census().books.returned[Event::evicted] == 1);
  CHECK(table.census().live_returned == 999);
}

TEST_CASE("who gives way is of the lowest class that there is, after any operations") {
  SessionTable::Timeouts timeouts = kTimeouts;
  timeouts.dormant = 3600;
  for (const uint64_t seed : {605u, 606u, 607u}) {
    LIMPET_RANDOM_INPUTS(seed);
    SessionTable table(300, timeouts);
    uint32_t now = kNow;
    uint64_t asleep_went = 0, unreturned_went = 0, returned_went = 0;
    for (int step = 0; step < 40000; ++step) {
      CAPTURE(step);
      const uint64_t key = mixed(inputs.below(2000)), other = mixed(inputs.below(2000));
      switch (inputs.below(12)) {
        case 0:
          table.renew(key, other, 0, now);
          break;
        case 1:
          if (inputs.one_in(20)) table.log_out(key, 0, now);
          break;
        case 2:
          now += inputs.one_in(100) ? 61 : inputs.one_in(10);
          sweep_all(table, now);  // nobody is idle and awake
          break;
        case 3:
          if (inputs.one_in(10)) table.restore(key, 0, now);
          break;
        default: {
          table.find_and_touch(mixed(inputs.below(2000)), now);
          const bool is_new = !table.knows(key, now);
          const Census before = table.census();
          table.open(key, 0, now, Room::none, Begun::by_answer);
          const Census after = table.census();
          if (!is_new || before.entries < 300) break;
          const uint64_t gone = after.books.all[Event::evicted] - before.books.all[Event::evicted];
          const uint64_t returned_gone =
              after.books.returned[Event::evicted] - before.books.returned[Event::evicted];
          const bool asleep = before.entries > before.live, unreturned = before.live > before.live_returned;
          REQUIRE(gone == (asleep ? 0 : 1));
          REQUIRE(returned_gone == (asleep || unreturned ? 0 : 1));
          ++(asleep ? asleep_went : unreturned ? unreturned_went : returned_went);
        }
      }
    }
    CAPTURE(asleep_went);
    CAPTURE(unreturned_went);
    CAPTURE(returned_went);
    CHECK(std::min({asleep_went, unreturned_went, returned_went}) > 100);
  }
}

TEST_CASE("the mark of a session that was unbound outlasts visitors, in a full table too") {
  LIMPET_RANDOM_INPUTS(608);
  SessionTable table(100, kTimeouts);
  std::vector<uint64_t> unbound;
  for (int i = 0; i < 98; ++i) {
    unbound.push_back(inputs.number());
    table.restore(unbound.back(), 0, kNow);
    CHECK(table.unbind(unbound.back(), kNow));
  }
  for (int i = 0; i < 1000; ++i) table.open(inputs.number(), 0, kNow + 1, Room::none, Begun::by_answer);
  for (const uint64_t key : unbound) CHECK(table.is_unbound(key, kNow + 1));
  CHECK(table.census().entries == 100);
}

// 2000 dormant sessions, 3000 unreturned and 5000 that returned, one after the other; all were opened in that
// order.
struct Crowd {
  Crowd() {
    for (uint64_t i = 0; i < 2000; ++i) table.open(mixed(i), 0, kNow, Room::none, Begun::by_answer);
    sweep_all(table, kNow + 61);
    for (uint64_t i = 2000; i < 5000; ++i) table.open(mixed(i), 0, kNow + 61, Room::none, Begun::by_answer);
    for (uint64_t i = 0; i < 5000; ++i)
      table.restore(mixed(5000 + i), 0, kNow + 61 + static_cast<uint32_t>(i / 100));
  }
  static SessionTable::Timeouts timeouts() {
    SessionTable::Timeouts timeouts = kTimeouts;
    timeouts.unreturned = 60;
    timeouts.dormant = 3600;
    return timeouts;
  }
  void check(uint64_t entries, uint64_t live, uint64_t returned) {
    const Census census = table.census();
    CHECK(census.entries == entries);
    CHECK(census.live == live);
    CHECK(census.live_returned == returned);
    check_books(table, 1);
  }

  SessionTable table{10000, timeouts()};
};

TEST_CASE("after max_sessions was lowered those go first that are dispensable, in all of the table") {
  Crowd crowd;
  crowd.check(10000, 8000, 5000);
  crowd.table.set_limits(9000, Crowd::timeouts());
  sweep_all(crowd.table, kNow + 111);
  crowd.check(9000, 8000, 5000);
  crowd.table.set_limits(6000, Crowd::timeouts());
  sweep_all(crowd.table, kNow + 111);
  crowd.check(6000, 6000, 5000);
  const uint64_t bytes = crowd.table.census().bytes;
  crowd.table.set_limits(1000, Crowd::timeouts());
  sweep_all(crowd.table, kNow + 111);
  crowd.check(1000, 1000, 1000);
  CHECK(crowd.table.census().bytes < bytes / 2);
  int late = 0;
  for (uint64_t i = 0; i < 5000; ++i) {
    const bool is_there = crowd.table.find(mixed(5000 + i), kNow + 111).home == 0;
    late += is_there && i >= 3800;
  }
  CHECK(late >= 950);  // in each shard who was seen last is left
}

TEST_CASE("after max_sessions was lowered nothing takes long: so many go at once at most, in their order") {
  constexpr uint64_t kMany = 400'000, kLeft = 40'000, kDormant = 100'000, kUnreturned = 100'000;
  const SessionTable::Timeouts timeouts{.idle = 600, .unreturned = 60, .renewal_grace = 30, .dormant = 9000};
  SessionTable table(kMany, timeouts);
  const auto open = [&](uint64_t i, uint32_t now) {
    table.open(mixed(i), 0, now, Room::none, Begun::by_answer);
  };
  for (uint64_t i = 1; i <= kDormant; ++i) open(i, kNow);
  sweep_all(table, kNow + 61);
  for (uint64_t i = kDormant + 1; i <= kMany; ++i) open(i, kNow + 61);
  for (uint64_t i = kDormant + kUnreturned + 1; i <= kMany; ++i) table.find_and_touch(mixed(i), kNow + 62);
  table.trim(kNow + 63);
  REQUIRE(table.census().entries == kMany);
  table.set_limits(kLeft, timeouts);
  uint64_t before = kMany;
  uint32_t steps = 0;
  while (before > kLeft) {
    // Meanwhile some are seen, of whom none is pushed out until all others are.
    for (uint64_t i = kMany - 20'000; i <= kMany; ++i) table.find_and_touch(mixed(i), kNow + 64 + steps);
    table.trim(kNow + 64 + steps);
    const uint64_t entries = table.census().entries;
    REQUIRE(entries < before);
    REQUIRE(before - entries <= SessionTable::kTrimmedAtOnce);
    before = entries;
    ++steps;
  }
  CHECK(before == kLeft);
  CHECK(steps >= (kMany - kLeft) / SessionTable::kTrimmedAtOnce);
  CHECK(steps < 60);
  const Census census = table.census();
  CHECK(census.live_returned == kLeft);
  CHECK(census.books.all[Event::evicted] == kMany - kDormant - kLeft);
  uint64_t seen = 0;
  for (uint64_t i = kMany - 20'000; i <= kMany; ++i) seen += table.find(mixed(i), kNow + 64).home == 0;
  CHECK(seen == 20'001);
  check_books(table, 1);
}

TEST_CASE("a session that begins after max_sessions was lowered pushes out two at most, and none in need") {
  Crowd crowd;
  crowd.table.set_limits(100, Crowd::timeouts());
  uint64_t before = crowd.table.census().entries;
  for (uint64_t i = 0; i < 20000; ++i) {
    crowd.table.open(mixed(100'000 + i), 0, kNow + 111, Room::none, Begun::by_answer);
    const uint64_t entries = crowd.table.census().entries;
    REQUIRE(entries <= before);
    REQUIRE(entries + 1 >= before);
    before = entries;
  }
  CHECK(crowd.table.census().live_returned == 5000);
  CHECK(before < 5100);
  sweep_all(crowd.table, kNow + 111);
  crowd.check(100, 100, 100);
}

TEST_CASE("locks become more and fewer with max_sessions, and every entry is there still") {
  constexpr uint64_t kMany = 10'000'000;
  const SessionTable::Timeouts timeouts = Crowd::timeouts();
  SessionTable table(1000, timeouts);
  CHECK(table.census().shards == 1);
  for (uint64_t i = 0; i < 300; ++i) table.open(mixed(i), 0, kNow, Room::none, Begun::by_answer);
  sweep_all(table, kNow + 61);  // they are dormant
  for (uint64_t i = 300; i < 600; ++i) table.open(mixed(i), 0, kNow + 61, Room::none, Begun::by_answer);
  for (uint64_t i = 600; i < 800; ++i) table.restore(mixed(i), 0, kNow + 61);
  for (uint64_t i = 600; i < 700; ++i) CHECK(table.renew(mixed(i), mixed(i + 1000), 0, kNow + 61));
  for (uint64_t i = 700; i < 750; ++i) CHECK(table.unbind(mixed(i), kNow + 61));
  const auto check = [&] {
    const Census census = table.census();
    CHECK(census.entries == 900);
    CHECK(census.live == 450);
    CHECK(census.live_returned == 150);
    CHECK(table.sessions_at(0).size() == 450);
    for (uint64_t i = 0; i < 800; ++i) {
      CHECK(table.knows(mixed(i), kNow + 61) == (i < 700 || i >= 750));
      CHECK(table.is_unbound(mixed(i), kNow + 61) == (i >= 700 && i < 750));
    }
    check_books(table, 1);
  };
  check();
  for (const uint64_t most : {kMany, uint64_t{1000}, uint64_t{50'000}, kMany}) {
    table.set_limits(most, timeouts);
    CHECK(table.census().shards == (most == kMany ? 256 : most == 1000 ? 1 : 64));
    check();
  }
  for (uint64_t i = 0; i < 100'000; ++i) table.restore(mixed(i + 10'000), 0, kNow + 61);
  table.set_limits(1000, timeouts);
  CHECK(table.census().shards == 256);
  sweep_all(table, kNow + 61);
  table.sweep(kNow + 61);
  const Census census = table.census();
  CHECK(census.shards == 1);
  CHECK(census.entries == 1000);
  CHECK(census.bytes < 100'000);
  check_books(table, 1);
}

TEST_CASE("what idled out already goes before what lives, and counts as expired") {
  LIMPET_RANDOM_INPUTS(603);
  SessionTable table(64, kTimeouts);
  for (int i = 0; i < 64; ++i) table.open(inputs.number(), 0, kNow, Room::none, Begun::by_answer);
  for (int i = 0; i < 32; ++i) table.open(inputs.number(), 0, kNow + 100, Room::none, Begun::by_answer);
  const Tally tally = table.census().books.all;
  CHECK(tally[Event::expired] == 32);
  CHECK(tally[Event::evicted] == 0);
}

TEST_CASE("a full table renews without leaving an alias") {
  SessionTable table(2, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.open(2, 0, kNow, Room::none, Begun::by_answer);
  CHECK(table.renew(1, 3, 0, kNow));
  CHECK(table.find(3, kNow).home != kNoSlot);
  CHECK(table.find(1, kNow).home == kNoSlot);
  CHECK(table.find(2, kNow).home != kNoSlot);
  CHECK(table.census().entries == 2);
}

TEST_CASE("an entry costs at most 48 bytes at any size up to a million, of a session or an alias") {
  SessionTable table(1'000'000, kTimeouts);
  const uint64_t empty = table.census().bytes;
  CHECK(empty < 150'000);
  double most = 0;
  for (uint64_t i = 1; i <= 1'000'000; ++i) {
    // One in ten is an alias of the session before.
    if (i % 10 != 0 || !table.renew(mixed(i - 1), mixed(i), 0, kNow))
      table.open(mixed(i), 0, kNow, Room::none, Begun::by_answer);
    if (i >= 100'000 && i % 20'000 == 0) {
      most = std::max(most, static_cast<double>(table.census().bytes) / static_cast<double>(i));
    }
  }
  CHECK(most <= 48);
  CHECK(table.census().entries == 1'000'000);
  CHECK(table.census().live == 900'000);
}

TEST_CASE("a table that was raised by a reload, or grew and was lowered, is as lean as one that began so") {
  SessionTable table(100'000, kTimeouts);
  for (uint64_t i = 1; i <= 100'000; ++i) table.restore(mixed(i), 0, kNow);
  for (const uint64_t most : {200'000, 1'000'000, 100'000, 200'000}) {
    CAPTURE(most);
    table.set_limits(most, kTimeouts);
    sweep_all(table, kNow);
    const Census census = table.census();
    CHECK(census.entries == 100'000);
    CHECK(static_cast<double>(census.bytes) / 100'000 <= 50);
  }
  table.set_limits(55'000, kTimeouts);  // of 64 shards
  sweep_all(table, kNow);
  CHECK(table.census().entries == 55'000);
  CHECK(static_cast<double>(table.census().bytes) / 55'000 <= 56);
}

}  // namespace limpet::routing::session_room_test
