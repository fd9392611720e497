#include "routing/pauses.h"

#include <doctest/doctest.h>

#include "routing/session_table.h"
#include "tests/routing/random_inputs.h"

namespace limpet::routing::pauses_test {

constexpr uint32_t kNow = 1'700'000'000;

struct Visits {
  Visits() { table.open(1, 0, now, SessionTable::Room::none, SessionTable::Begun::by_answer); }
  void after(uint32_t pause) {
    now += pause;
    table.find_and_touch(1, now);
  }
  void retried_after(uint32_t pause) {
    now += pause;
    table.find_and_touch(1, now, SessionTable::Visit::retry);
  }
  bool polls() { return table.find(1, now).polls; }
  uint64_t counted() {
    uint64_t sum = 0;
    for (const uint64_t count : table.pauses().counts) sum += count;
    return sum;
  }

  SessionTable table{1000, {.idle = 10'000'000, .unreturned = 10'000'000}};
  uint32_t now = kNow;
};

TEST_CASE("a pause's code stands for one part in eight, and for the least pause that has it") {
  uint8_t last = 0;
  for (uint32_t pause = kShortestPause; pause < 3'000'000; pause += 1 + pause / 50) {
    const uint8_t code = pause_code(pause);
    const uint32_t least = pause_seconds(code);
    CAPTURE(pause);
    REQUIRE(least <= pause);
    REQUIRE(uint64_t{pause} * 8 < uint64_t{least} * 9 + 8);
    REQUIRE(pause_code(least) == code);
    REQUIRE(code >= last);
    last = code;
  }
}

TEST_CASE("pauses up to fifteen seconds are kept to the second, and every pause has a code") {
  for (uint32_t pause = kShortestPause; pause < 16; ++pause) CHECK(pause_seconds(pause_code(pause)) == pause);
  for (const uint32_t pause : {0x7fff'ffffu, 0x8000'0000u, 0xffff'ffffu}) {
    CHECK(pause_seconds(pause_code(pause)) <= pause);
    CHECK(pause_seconds(pause_code(pause)) > pause / 9 * 8);
  }
  CHECK(pause_code(11 * 24 * 3600) < PauseCounts::kCodes);
}

TEST_CASE("pauses are alike that differ by a second, or by an eighth") {
  CHECK(are_alike(2, 2));
  CHECK(are_alike(3, 2));
  CHECK(are_alike(2, 3));
  CHECK_FALSE(are_alike(4, 2));
  CHECK(are_alike(90, 80));
  CHECK_FALSE(are_alike(91, 80));
  CHECK_FALSE(are_alike(69, 80));
}

TEST_CASE("a session whose requests come at regular times is taken for one that polls, from the sixth on") {
  for (const uint32_t every : {2u, 10u, 30u, 61u, 300u}) {
    Visits visits;
    CAPTURE(every);
    for (int i = 0; i < 5; ++i) {
      visits.after(every + static_cast<uint32_t>(i) % 2);  // timers are a little late
      CHECK_FALSE(visits.polls());
    }
    visits.after(every);
    CHECK(visits.polls());
    for (int i = 0; i < 20; ++i) visits.after(every);
    CHECK(visits.polls());
    visits.after(every * 3);
    CHECK_FALSE(visits.polls());
  }
}

TEST_CASE("requests of one visit are no pause, and do not hide a timer's") {
  Visits visits;
  for (int i = 0; i < 8; ++i) {
    visits.after(29);
    visits.after(1);
    visits.after(0);
  }
  CHECK(visits.polls());
}

TEST_CASE("once a session is known to poll its pauses are counted no more") {
  Visits visits;
  for (int i = 0; i < 20; ++i) visits.after(30);
  CHECK(visits.counted() == 6);
  visits.after(500);
  visits.after(500);
  CHECK(visits.counted() == 7);  // the second: the first was still a polling session's
}

TEST_CASE("a request's second attempt is no visit") {
  Visits visits;
  for (int i = 0; i < 8; ++i) visits.retried_after(30);
  CHECK(visits.counted() == 0);
  CHECK_FALSE(visits.polls());
}

TEST_CASE("people's pauses do not look like a timer's") {
  LIMPET_RANDOM_INPUTS(641);
  int polling = 0;
  for (int person = 0; person < 200; ++person) {
    Visits visits;
    for (int i = 0; i < 12; ++i) visits.after(2 + static_cast<uint32_t>(inputs.below(120)));
    polling += visits.polls();
  }
  CHECK(polling <= 2);
}

TEST_CASE("every pause is counted under its code, the longest under the last") {
  Visits visits;
  visits.after(5);
  visits.after(5);
  visits.after(700);
  visits.after(3'000'000);
  const PauseCounts pauses = visits.table.pauses();
  CHECK(pauses.counts[pause_code(5)] == 2);
  CHECK(pauses.counts[pause_code(700)] == 1);
  CHECK(pauses.counts.back() == 1);
  CHECK(visits.counted() == 4);
}

}  // namespace limpet::routing::pauses_test
