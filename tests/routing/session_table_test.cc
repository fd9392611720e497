#include "routing/session_table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "routing/hash.h"
#include "tests/routing/random_inputs.h"
#include "tests/routing/session_tables.h"

namespace limpet::routing::session_table_test {

using namespace limpet::routing::session_tables;
using Room = SessionTable::Room;
using Begun = SessionTable::Begun;
using Word = SessionTable::Word;
using Asked = SessionTable::Asked;

const Fleet kNoBackups;
constexpr Cost kLost{limpet::conf::Storage::local, kNoBackups},
    kCarried{limpet::conf::Storage::shared, kNoBackups};

TEST_CASE("a session that was opened is found at its home, and others are not") {
  SessionTable table(1000, kTimeouts);
  const auto held = table.open(1, 3, kNow, Room::none, Begun::by_answer);
  CHECK(held.home == 3);
  CHECK(held.added);
  CHECK(table.find_and_touch(1, kNow).home == 3);
  CHECK(table.find_and_touch(2, kNow).home == kNoSlot);
  CHECK(table.homes().live(3) == 1);
}

TEST_CASE("of two that open one session the first decides its home") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 3, kNow, Room::none, Begun::by_answer);
  const auto second = table.open(1, 4, kNow, Room::none, Begun::by_answer);
  CHECK(second.home == 3);
  CHECK_FALSE(second.added);
  CHECK(table.census().books.all[Event::opened] == 1);
}

TEST_CASE("a session expires once it has not been seen for longer than idle_timeout, not before") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.find_and_touch(1, kNow);  // returned
  CHECK(table.find_and_touch(1, kNow + 600).home != kNoSlot);
  CHECK(table.find_and_touch(1, kNow + 1200).home != kNoSlot);
  CHECK(table.find_and_touch(1, kNow + 1801).home == kNoSlot);
  CHECK(table.find_and_touch(1, kNow + 1801).home == kNoSlot);
  CHECK(table.census().books.all[Event::expired] == 1);
}

TEST_CASE("a session whose client never came back expires after unreturned_timeout") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.open(2, 0, kNow, Room::none, Begun::by_answer);
  table.find_and_touch(2, kNow);
  table.find_and_touch(1, kNow, SessionTable::Visit::retry);  // the same request, at another backend
  sweep_all(table, kNow + 60);
  CHECK(table.census().live == 2);
  sweep_all(table, kNow + 61);
  CHECK(table.find(1, kNow + 61).home == kNoSlot);
  CHECK(table.find(2, kNow + 61).home != kNoSlot);
}

TEST_CASE("a restored session has returned, and is counted as restored") {
  SessionTable table(1000, kTimeouts);
  table.restore(1, 0, kNow);
  CHECK(table.find(1, kNow + 600).home != kNoSlot);
  CHECK(table.census().books.all[Event::restored] == 1);
  CHECK(table.census().books.all[Event::opened] == 0);
}

TEST_CASE("looking without touching keeps nothing alive") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  CHECK(table.find(1, kNow + 60).home != kNoSlot);
  CHECK(table.find(1, kNow + 61).home == kNoSlot);
}

TEST_CASE("a clock that goes back ends nothing, and time runs on from there") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.find_and_touch(1, kNow);
  sweep_all(table, kNow - 5000);
  CHECK(table.find(1, kNow - 5000).home != kNoSlot);
  CHECK(table.find(1, kNow - 5000 + 600).home != kNoSlot);
  CHECK(table.find(1, kNow - 5000 + 601).home == kNoSlot);
}

TEST_CASE("a session moves once, and whoever comes late is told where it is") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  REQUIRE(table.homes().reserve(1, 0));
  REQUIRE(table.homes().reserve(2, 0));
  CHECK(table.move(1, 0, 1, kNow).added);
  const auto late = table.move(1, 0, 2, kNow);
  CHECK(late.home == 1);
  CHECK_FALSE(late.added);
  table.homes().release(2);
  CHECK(table.find(1, kNow).home == 1);
  table.answered(1, 1, 0, kNow, Word::none, Asked::to_read, kCarried);
  CHECK(table.census().books.all[Event::carried] == 1);
  check_books(table, 3);
}

TEST_CASE("there is no moving a session that is not there") {
  SessionTable table(1000, kTimeouts);
  CHECK(table.move(1, 0, 1, kNow).home == kNoSlot);
}

TEST_CASE("a renewed session lives under its new key, and its old one leads there for renewal_grace") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 5, kNow, Room::none, Begun::by_answer);
  table.find_and_touch(1, kNow);
  CHECK(table.renew(1, 2, 5, kNow));
  CHECK(table.find(2, kNow).home == 5);
  CHECK(table.find_and_touch(1, kNow + 30).home == 5);
  CHECK(table.find(1, kNow + 31).home == kNoSlot);
  CHECK(table.find(2, kNow + 31).home == 5);
  const Census census = table.census();
  CHECK(census.live == 1);
  CHECK(census.books.all[Event::opened] == 1);
  CHECK(census.books.all[Event::renewed] == 1);
  CHECK(census.entries == 1);
}

TEST_CASE("what happens to a renewed session under its old key happens to the session") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.renew(1, 2, 0, kNow);
  REQUIRE(table.homes().reserve(7, 0));
  CHECK(table.rehome(1, 7, kNow).added);
  CHECK(table.find(2, kNow).home == 7);
  CHECK(table.unbind(1, kNow));
  CHECK(table.find(2, kNow).home == kNoSlot);
  CHECK(table.find(1, kNow).home == kNoSlot);
  check_books(table, 8);
}

TEST_CASE("only the home of a live session renews it, and never into another live session") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.open(9, 0, kNow, Room::none, Begun::by_answer);
  CHECK_FALSE(table.renew(1, 2, 4, kNow));
  CHECK_FALSE(table.renew(3, 2, 0, kNow));
  CHECK_FALSE(table.renew(1, 9, 0, kNow));
  CHECK_FALSE(table.renew(1, 1, 0, kNow));
  CHECK(table.renew(1, 2, 0, kNow));
  CHECK_FALSE(table.renew(1, 3, 0, kNow));  // 1 is an alias now
  CHECK(table.census().books.all[Event::renewed] == 1);
}

TEST_CASE("a session may be renewed back to a key that it had") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  CHECK(table.renew(1, 2, 0, kNow));
  CHECK(table.renew(2, 1, 0, kNow));
  CHECK(table.find(1, kNow).home == 0);
  CHECK(table.find(2, kNow).home == 0);
  CHECK(table.census().live == 1);
  CHECK(table.census().entries == 2);
}

TEST_CASE(
    "a session that is renewed to the key of one that idled out, its neighbour in the table, is not mixed up "
    "with it") {
  SessionTable table(10, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.open(2, 7, kNow + 61, Room::none, Begun::by_answer);  // beside 1, which gives way
  CHECK(table.renew(2, 1, 7, kNow + 61));
  CHECK(table.find(1, kNow + 61).home == 7);
  CHECK(table.find(2, kNow + 61).home == 7);
  const Census census = table.census();
  CHECK(census.entries == 2);
  CHECK(census.books.all[Event::expired] == 1);
  table.log_out(2, 7, kNow + 61);  // which leads to 1
  CHECK(table.find(1, kNow + 61).home == kNoSlot);
  check_books(table, 8);
}

TEST_CASE("an old key that the application sets again is a session of its own") {
  SessionTable table(1000, kTimeouts);
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.renew(1, 2, 0, kNow);
  CHECK(table.open(1, 4, kNow, Room::none, Begun::by_answer).added);
  CHECK(table.find(1, kNow).home == 4);
  CHECK(table.find(2, kNow).home == 0);
  check_books(table, 5);
}

TEST_CASE("each way to end is counted as what it is") {
  SessionTable table(1000, kTimeouts);
  for (uint64_t key = 1; key <= 3; ++key) table.open(key, 0, kNow, Room::none, Begun::by_answer);
  table.log_out(1, 0, kNow);
  CHECK(table.unbind(2, kNow));
  CHECK_FALSE(table.unbind(2, kNow));
  table.log_out(3, 1, kNow);  // not its home
  table.log_out(4, 0, kNow);
  const Tally tally = table.census().books.all;
  CHECK(tally[Event::logged_out] == 1);
  CHECK(tally[Event::unbound] == 1);
  check_books(table, 1);
}

TEST_CASE("reservations stop at the limit, count as load, and are used by the session that opens") {
  SessionTable table(1000, kTimeouts);
  CHECK(table.homes().reserve(0, 2));
  CHECK(table.homes().reserve(0, 2));
  CHECK_FALSE(table.homes().reserve(0, 2));
  CHECK(table.homes().load(0) == 2);
  CHECK(table.open(1, 0, kNow, Room::reserved, Begun::by_answer).added);
  CHECK(table.homes().load(0) == 2);
  CHECK(table.homes().live(0) == 1);
  table.homes().release(0);
  CHECK(table.homes().load(0) == 1);
  table.log_out(1, 0, kNow);
  CHECK(table.homes().load(0) == 0);
}

TEST_CASE("threads that reserve at once never get past the limit, and leave no trace where they failed") {
  SessionTable table(1000, kTimeouts);
  constexpr int kThreads = 4, kTries = 5000;
  constexpr uint32_t kLimit = 700;
  std::atomic<uint32_t> got{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTries; ++i) got += table.homes().reserve(0, kLimit);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(got == kLimit);
  CHECK(table.homes().load(0) == kLimit);
}

TEST_CASE("who looks at all sessions while locks become more and fewer sees each of them once") {
  constexpr uint64_t kSessions = 900;
  SessionTable table(1000, kTimeouts);
  for (uint64_t i = 0; i < kSessions; ++i) table.restore(mixed(i), 0, kNow);
  std::atomic<bool> done{false};
  std::atomic<int> rounds{0};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    while (!done) {
      const Census census = table.census();
      CHECK(census.entries == kSessions);
      CHECK(census.live_returned == kSessions);
      CHECK(census.imbalance == 0);
      CHECK(table.sessions_at(0).size() == kSessions);
      ++rounds;
    }
  });
  threads.emplace_back([&] {
    for (uint64_t i = 0; !done; ++i) CHECK(table.find_and_touch(mixed(i % kSessions), kNow).home == 0);
  });
  threads.emplace_back([&] {
    while (!done) table.sweep(kNow);
  });
  for (int i = 0; i < 300 || rounds < 100; ++i) table.set_limits(i % 2 == 0 ? 10'000'000 : 1000, kTimeouts);
  done = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE(
    "the books balance after any operations of several threads, in a table that is too small for them") {
  constexpr Slot kHomes = 8;
  constexpr SessionTable::Timeouts timeouts{.idle = 30, .unreturned = 10};
  uint64_t most = 300;
  SessionTable table(most, timeouts);
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
        switch (inputs.below(10)) {
          case 0:
          case 1:
            table.find_and_touch(key, now);
            break;
          case 8:
            table.answered(key, inputs.one_in(3) ? home : table.find(key, now).home,
                           table.find(key, now).booked_at, now, static_cast<Word>(inputs.below(3)),
                           inputs.one_in(2) ? Asked::to_read : Asked::to_change,
                           inputs.one_in(2) ? kLost : kCarried);
            break;
          case 9:
            if (inputs.one_in(10)) table.homes().set_in_service(home, inputs.one_in(2));
            break;
          case 2:
          case 3: {
            const bool reserved = table.homes().reserve(home, 60);
            const auto begun = inputs.one_in(2) ? Begun::by_answer : Begun::by_request;
            const auto held = table.open(key, home, now, reserved ? Room::reserved : Room::none, begun);
            if (reserved && !held.added) table.homes().release(home);
            break;
          }
          case 4: {
            if (!table.homes().reserve(to, 60)) break;
            const Slot from = inputs.one_in(2) ? table.find(key, now).home : home;
            const bool ordered = inputs.one_in(3);
            const auto held = ordered      ? table.rehome(key, to, now)
                              : from == to ? SessionTable::Held{}
                                           : table.move(key, from, to, now);
            if (!held.added) table.homes().release(to);
            break;
          }
          case 5:
            table.renew(key, other, table.find(key, now).home, now);
            break;
          case 6:
            table.log_out(key, home, now);
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
      table.set_limits(most = most == 300 ? 3000 : 300, timeouts);
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  sweeper.join();
  table.set_limits(300, timeouts);
  sweep_all(table, clock);
  CHECK(table.census().entries <= 300);
  const uint32_t now = clock;
  for (uint64_t i = 0; i < 500; ++i) {
    table.answered(mixed(i), table.find(mixed(i), now).home, kNoSlot, now, Word::none, Asked::to_read,
                   kLost);  // all that move arrive
  }
  check_books(table, kHomes);
  const Tally tally = table.census().books.all;
  // Everything that can happen did, or the test shows less than it says.
  for (const Event event : {Event::opened, Event::expired, Event::logged_out, Event::evicted, Event::lost,
                            Event::carried, Event::moved, Event::reassigned, Event::abandoned,
                            Event::recovered, Event::confirmed, Event::renewed}) {
    INFO(text(event));
    CHECK(tally[event] > 0);
  }
}

TEST_CASE("threads that move one session at once agree on where it went") {
  for (uint64_t key = 1; key <= 200; ++key) {
    SessionTable table(1000, kTimeouts);
    table.open(key, 0, kNow, Room::none, Begun::by_answer);
    constexpr size_t kThreads = 4;
    std::array<Slot, kThreads> seen{};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const auto to = static_cast<Slot>(t + 1);
        table.homes().reserve(to, 0);
        const auto held = table.move(key, 0, to, kNow);
        if (!held.added) table.homes().release(to);
        seen[t] = held.home;
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Slot home : seen) REQUIRE(home == table.find(key, kNow).home);
    table.answered(key, seen[0], 0, kNow, Word::none, Asked::to_read, kLost);
    REQUIRE(table.census().books.all[Event::lost] == 1);
    check_books(table, kThreads + 1);
  }
}

}  // namespace limpet::routing::session_table_test
