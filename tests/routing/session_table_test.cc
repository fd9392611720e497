#include "routing/session_table.h"

#include <doctest/doctest.h>

#include <memory>
#include <thread>
#include <vector>

#include "routing/hash.h"
#include "tests/routing/random_inputs.h"
#include "tests/routing/session_model.h"

using namespace limpet::routing;
using limpet::routing::test::SessionModel;
using Room = SessionTable::Room;
using End = SessionTable::End;

namespace {

constexpr uint32_t kNow = 1'700'000'000;
constexpr SessionTable::Timeouts kTimeouts{.idle = 600, .unreturned = 60};

void sweep_all(SessionTable& table, uint32_t now) {
  for (size_t i = 0; i < SessionTable::kSweeps; ++i) table.sweep(now);
}

void check_books(const SessionTable& table, Slot homes) {
  const Census census = table.census();
  CHECK(census.imbalance == 0);
  CHECK(census.tally.begun() == census.live + census.tally.ended());
  uint64_t live = 0;
  for (Slot home = 0; home < homes; ++home) {
    live += table.live(home);
    CHECK(table.load(home) == table.live(home));
  }
  CHECK(live == census.live);
}

}  // namespace

TEST_CASE("a session that was opened is found at its home, and others are not") {
  SessionTable table(1000, kTimeouts);
  const auto held = table.open(1, 3, kNow, Room::none);
  CHECK(held.home == 3);
  CHECK(held.added);
  CHECK(table.find_and_touch(1, kNow) == 3);
  CHECK(table.find_and_touch(2, kNow) == kNoSlot);
  CHECK(table.live(3) == 1);
}

TEST_CASE("of two that open one session the first decides its home") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 3, kNow, Room::none);
  const auto second = table.open(1, 4, kNow, Room::none);
  CHECK(second.home == 3);
  CHECK_FALSE(second.added);
  CHECK(table.census().tally.opened == 1);
}

TEST_CASE("a session expires once it has not been seen for longer than idle_timeout, not before") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  table.find_and_touch(1, kNow);  // returned
  CHECK(table.find_and_touch(1, kNow + 600) != kNoSlot);
  CHECK(table.find_and_touch(1, kNow + 1200) != kNoSlot);
  CHECK(table.find_and_touch(1, kNow + 1801) == kNoSlot);
  CHECK(table.find_and_touch(1, kNow + 1801) == kNoSlot);
  CHECK(table.census().tally.expired == 1);
}

TEST_CASE("a session whose client never came back expires after unreturned_timeout") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  table.open(2, 0, kNow, Room::none);
  table.find_and_touch(2, kNow);
  table.find_and_touch(1, kNow, SessionTable::Visit::retry);  // the same request, at another backend
  sweep_all(table, kNow + 60);
  CHECK(table.census().live == 2);
  sweep_all(table, kNow + 61);
  CHECK(table.find(1, kNow + 61) == kNoSlot);
  CHECK(table.find(2, kNow + 61) != kNoSlot);
}

TEST_CASE("a restored session has returned, and is counted as restored") {
  SessionTable table(1000, kTimeouts);
  table.restore(1, 0, kNow, Room::none);
  CHECK(table.find(1, kNow + 600) != kNoSlot);
  CHECK(table.census().tally.restored == 1);
  CHECK(table.census().tally.opened == 0);
}

TEST_CASE("looking without touching keeps nothing alive") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  CHECK(table.find(1, kNow + 60) != kNoSlot);
  CHECK(table.find(1, kNow + 61) == kNoSlot);
}

TEST_CASE("a clock that goes back ends nothing, and time runs on from there") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  table.find_and_touch(1, kNow);
  sweep_all(table, kNow - 5000);
  CHECK(table.find(1, kNow - 5000) != kNoSlot);
  CHECK(table.find(1, kNow - 5000 + 600) != kNoSlot);
  CHECK(table.find(1, kNow - 5000 + 601) == kNoSlot);
}

TEST_CASE("a session moves once, and whoever comes late is told where it is") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  REQUIRE(table.reserve(1, 0));
  REQUIRE(table.reserve(2, 0));
  CHECK(table.move(1, 0, 1, kNow).added);
  const auto late = table.move(1, 0, 2, kNow);
  CHECK(late.home == 1);
  CHECK_FALSE(late.added);
  table.release(2);
  CHECK(table.find(1, kNow) == 1);
  CHECK(table.census().tally.moved == 1);
  check_books(table, 3);
}

TEST_CASE("there is no moving a session that is not there") {
  SessionTable table(1000, kTimeouts);
  CHECK(table.move(1, 0, 1, kNow).home == kNoSlot);
}

TEST_CASE("a renewed session lives under its new key, and its old one leads there for 30 seconds") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 5, kNow, Room::none);
  table.find_and_touch(1, kNow);
  CHECK(table.renew(1, 2, 5, kNow));
  CHECK(table.find(2, kNow) == 5);
  CHECK(table.find_and_touch(1, kNow + 30) == 5);
  CHECK(table.find(1, kNow + 31) == kNoSlot);
  CHECK(table.find(2, kNow + 31) == 5);
  const Census census = table.census();
  CHECK(census.live == 1);
  CHECK(census.tally.opened == 1);
  CHECK(census.tally.renewed == 1);
  CHECK(census.entries == 1);
}

TEST_CASE("what happens to a renewed session under its old key happens to the session") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  table.renew(1, 2, 0, kNow);
  REQUIRE(table.reserve(7, 0));
  CHECK(table.move(1, 0, 7, kNow).added);
  CHECK(table.find(2, kNow) == 7);
  CHECK(table.end(1, End::logged_out, kNow));
  CHECK(table.find(2, kNow) == kNoSlot);
  CHECK(table.find(1, kNow) == kNoSlot);
  check_books(table, 8);
}

TEST_CASE("only the home of a live session renews it, and never into another live session") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  table.open(9, 0, kNow, Room::none);
  CHECK_FALSE(table.renew(1, 2, 4, kNow));
  CHECK_FALSE(table.renew(3, 2, 0, kNow));
  CHECK_FALSE(table.renew(1, 9, 0, kNow));
  CHECK_FALSE(table.renew(1, 1, 0, kNow));
  CHECK(table.renew(1, 2, 0, kNow));
  CHECK_FALSE(table.renew(1, 3, 0, kNow));  // 1 is an alias now
  CHECK(table.census().tally.renewed == 1);
}

TEST_CASE("a session may be renewed back to a key that it had") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  CHECK(table.renew(1, 2, 0, kNow));
  CHECK(table.renew(2, 1, 0, kNow));
  CHECK(table.find(1, kNow) == 0);
  CHECK(table.find(2, kNow) == 0);
  CHECK(table.census().live == 1);
  CHECK(table.census().entries == 2);
}

TEST_CASE(
    "a session that is renewed to the key of one that idled out, its neighbour in the table, is not mixed up "
    "with it") {
  SessionTable table(10, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  table.open(2, 7, kNow + 61, Room::none);  // beside 1, which gives way
  CHECK(table.renew(2, 1, 7, kNow + 61));
  CHECK(table.find(1, kNow + 61) == 7);
  CHECK(table.find(2, kNow + 61) == 7);
  const Census census = table.census();
  CHECK(census.entries == 2);
  CHECK(census.tally.expired == 1);
  CHECK(table.end(2, End::logged_out, kNow + 61));  // which leads to 1
  CHECK(table.find(1, kNow + 61) == kNoSlot);
  check_books(table, 8);
}

TEST_CASE("an old key that the application sets again is a session of its own") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  table.renew(1, 2, 0, kNow);
  CHECK(table.open(1, 4, kNow, Room::none).added);
  CHECK(table.find(1, kNow) == 4);
  CHECK(table.find(2, kNow) == 0);
  check_books(table, 5);
}

TEST_CASE("each way to end is counted as what it is") {
  SessionTable table(1000, kTimeouts);
  for (uint64_t key = 1; key <= 3; ++key) table.open(key, 0, kNow, Room::none);
  CHECK(table.end(1, End::logged_out, kNow));
  CHECK(table.end(2, End::unbound, kNow));
  CHECK_FALSE(table.end(2, End::unbound, kNow));
  CHECK_FALSE(table.end(4, End::logged_out, kNow));
  const Tally tally = table.census().tally;
  CHECK(tally.logged_out == 1);
  CHECK(tally.unbound == 1);
  check_books(table, 1);
}

TEST_CASE("reservations stop at the limit, count as load, and are used by the session that opens") {
  SessionTable table(1000, kTimeouts);
  CHECK(table.reserve(0, 2));
  CHECK(table.reserve(0, 2));
  CHECK_FALSE(table.reserve(0, 2));
  CHECK(table.load(0) == 2);
  CHECK(table.open(1, 0, kNow, Room::reserved).added);
  CHECK(table.load(0) == 2);
  CHECK(table.live(0) == 1);
  table.release(0);
  CHECK(table.load(0) == 1);
  table.end(1, End::logged_out, kNow);
  CHECK(table.load(0) == 0);
}

TEST_CASE("threads that reserve at once never get past the limit, and leave no trace where they failed") {
  SessionTable table(1000, kTimeouts);
  constexpr int kThreads = 4, kTries = 5000;
  constexpr uint32_t kLimit = 700;
  std::atomic<uint32_t> got{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTries; ++i) got += table.reserve(0, kLimit);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(got == kLimit);
  CHECK(table.load(0) == kLimit);
}

TEST_CASE("a full table holds its bound, evicts for every session more, and says so") {
  LIMPET_RANDOM_INPUTS(601);
  for (const uint64_t most : {1u, 10u, 5000u}) {
    SessionTable table(most, kTimeouts);
    for (int i = 0; i < 20000; ++i) table.open(inputs.number(), 0, kNow, Room::none);
    const Census census = table.census();
    CHECK(census.live == most);
    CHECK(census.tally.evicted == 20000 - most);
    check_books(table, 1);
  }
}

TEST_CASE("a flood of clients that never return hardly pushes out those that did") {
  LIMPET_RANDOM_INPUTS(602);
  SessionTable table(10000, kTimeouts);
  std::vector<uint64_t> returned;
  for (int i = 0; i < 5000; ++i) {
    returned.push_back(inputs.number());
    table.open(returned.back(), 0, kNow, Room::none);
    table.find_and_touch(returned.back(), kNow);
  }
  for (int i = 0; i < 200000; ++i) table.open(inputs.number(), 0, kNow + 1, Room::none);
  int left = 0;
  for (const uint64_t key : returned) left += table.find(key, kNow + 1) != kNoSlot;
  CHECK(left >= 4950);
}

TEST_CASE("what idled out already goes before what lives, and counts as expired") {
  LIMPET_RANDOM_INPUTS(603);
  SessionTable table(64, kTimeouts);
  for (int i = 0; i < 64; ++i) table.open(inputs.number(), 0, kNow, Room::none);
  for (int i = 0; i < 32; ++i) table.open(inputs.number(), 0, kNow + 100, Room::none);
  const Tally tally = table.census().tally;
  CHECK(tally.expired == 32);
  CHECK(tally.evicted == 0);
}

TEST_CASE("a full table renews without leaving an alias") {
  SessionTable table(2, kTimeouts);
  table.open(1, 0, kNow, Room::none);
  table.open(2, 0, kNow, Room::none);
  CHECK(table.renew(1, 3, 0, kNow));
  CHECK(table.find(3, kNow) != kNoSlot);
  CHECK(table.find(1, kNow) == kNoSlot);
  CHECK(table.find(2, kNow) != kNoSlot);
  CHECK(table.census().entries == 2);
}

TEST_CASE("a tracked session costs at most 48 bytes, at any size up to a million") {
  SessionTable table(1'000'000, kTimeouts);
  double most = 0;
  for (uint64_t i = 1; i <= 1'000'000; ++i) {
    table.open(mixed(i), 0, kNow, Room::none);
    if (i >= 100'000 && i % 20'000 == 0) {
      most = std::max(most, static_cast<double>(table.census().bytes) / static_cast<double>(i));
    }
  }
  CHECK(most <= 48);
  CHECK(table.census().live == 1'000'000);
}

TEST_CASE("random operations do what the plain model does, on a clock that also goes back") {
  for (const uint64_t seed : {611u, 612u, 613u, 614u}) {
    LIMPET_RANDOM_INPUTS(seed);
    SessionTable table(seed % 2 ? 100'000 : 500, kTimeouts);  // over many shards, or crowded in one
    SessionModel model(kTimeouts);
    constexpr Slot kHomes = 70;  // more than one chunk of counters
    uint32_t now = kNow;
    for (int step = 0; step < 30000; ++step) {
      const uint64_t key = mixed(inputs.below(200)), other = mixed(inputs.below(200));
      const auto home = static_cast<Slot>(inputs.below(kHomes)), to = static_cast<Slot>(inputs.below(kHomes));
      CAPTURE(step);
      switch (inputs.below(9)) {
        case 0:
        case 1: {
          const bool first = inputs.one_in(2);
          const auto visit = first ? SessionTable::Visit::first : SessionTable::Visit::retry;
          REQUIRE(table.find_and_touch(key, now, visit) == model.find_and_touch(key, now, first));
          break;
        }
        case 2:
          REQUIRE(table.find(key, now) == model.find(key, now));
          break;
        case 3: {
          const auto is = table.open(key, home, now, Room::none),
                     should = model.begin(key, home, now, &Tally::opened);
          REQUIRE(is.home == should.home);
          REQUIRE(is.added == should.added);
          break;
        }
        case 4: {
          REQUIRE(table.reserve(home, 0));
          const auto is = table.restore(key, home, now, Room::reserved);
          const auto should = model.begin(key, home, now, &Tally::restored);
          if (!is.added) table.release(home);
          REQUIRE(is.home == should.home);
          REQUIRE(is.added == should.added);
          break;
        }
        case 5: {
          const Slot from = model.find(key, now);  // moves that find the session where they expect it
          const Slot expected = from == kNoSlot || inputs.one_in(4) ? home : from;
          REQUIRE(table.reserve(to, 0));
          const auto should = model.move(key, expected, to, now);
          table.find(key, now);
          const auto is = table.move(key, expected, to, now);
          if (!is.added) table.release(to);
          REQUIRE(is.home == should.home);
          REQUIRE(is.added == should.added);
          break;
        }
        case 6: {
          const Slot at = model.find(key, now);
          table.find(key, now);
          REQUIRE(table.renew(key, other, at, now) == model.renew(key, other, at, now));
          break;
        }
        case 7: {
          const bool logout = inputs.one_in(2);
          const auto how = logout ? &Tally::logged_out : &Tally::unbound;
          REQUIRE(table.end(key, logout ? End::logged_out : End::unbound, now) == model.end(key, how, now));
          break;
        }
        case 8:
          now += static_cast<uint32_t>(inputs.one_in(50) ? inputs.below(1000) : inputs.below(5));
          if (inputs.one_in(30)) now -= 100;
          if (inputs.one_in(5)) {
            sweep_all(table, now);
            model.sweep(now);
          }
          break;
      }
      if (step % 100 != 0) continue;
      const Census census = table.census();
      REQUIRE(census.live == model.live());
      REQUIRE(census.entries == model.entries());
      for (const auto count : {&Tally::opened, &Tally::restored, &Tally::expired, &Tally::logged_out,
                               &Tally::unbound, &Tally::evicted, &Tally::moved, &Tally::renewed}) {
        REQUIRE(census.tally.*count == model.tally().*count);
      }
      for (Slot slot = 0; slot < kHomes; ++slot) REQUIRE(table.live(slot) == model.live(slot));
      check_books(table, kHomes);
    }
  }
}

TEST_CASE(
    "the books balance after any operations of several threads, in a table that is too small for them") {
  constexpr Slot kHomes = 8;
  SessionTable table(300, {.idle = 30, .unreturned = 10});
  std::atomic<uint32_t> clock{kNow};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (uint64_t seed = 621; seed < 625; ++seed) {
    threads.emplace_back([&, seed] {
      limpet::routing::test::Inputs inputs(seed);
      for (int step = 0; step < 40000; ++step) {
        const uint64_t key = mixed(inputs.below(500)), other = mixed(inputs.below(500));
        const auto home = static_cast<Slot>(inputs.below(kHomes)),
                   to = static_cast<Slot>(inputs.below(kHomes));
        const uint32_t now = clock;
        switch (inputs.below(8)) {
          case 0:
          case 1:
            table.find_and_touch(key, now);
            break;
          case 2:
          case 3: {
            const bool reserved = table.reserve(home, 60);
            const auto held = table.open(key, home, now, reserved ? Room::reserved : Room::none);
            if (reserved && !held.added) table.release(home);
            break;
          }
          case 4: {
            if (!table.reserve(to, 60)) break;
            if (!table.move(key, home, to, now).added) table.release(to);
            break;
          }
          case 5:
            table.renew(key, other, table.find(key, now), now);
            break;
          case 6:
            table.end(key, End::logged_out, now);
            break;
          case 7:
            if (inputs.one_in(20)) clock += static_cast<uint32_t>(inputs.below(4));
            break;
        }
      }
    });
  }
  std::thread sweeper([&] {
    while (!done) {
      table.sweep(clock);
      CHECK(table.census().imbalance == 0);
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  sweeper.join();
  check_books(table, kHomes);
  const Tally tally = table.census().tally;
  CHECK(table.census().entries <= 300 + threads.size());
  // Everything that can happen did, or the test shows less than it says.
  for (const auto count : {&Tally::opened, &Tally::expired, &Tally::logged_out, &Tally::evicted,
                           &Tally::moved, &Tally::renewed}) {
    CHECK(tally.*count > 0);
  }
}

TEST_CASE("threads that move one session at once agree on where it went") {
  for (uint64_t key = 1; key <= 200; ++key) {
    SessionTable table(1000, kTimeouts);
    table.open(key, 0, kNow, Room::none);
    constexpr size_t kThreads = 4;
    std::array<Slot, kThreads> seen{};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const auto to = static_cast<Slot>(t + 1);
        table.reserve(to, 0);
        const auto held = table.move(key, 0, to, kNow);
        if (!held.added) table.release(to);
        seen[t] = held.home;
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Slot home : seen) REQUIRE(home == table.find(key, kNow));
    REQUIRE(table.census().tally.moved == 1);
    check_books(table, kThreads + 1);
  }
}
