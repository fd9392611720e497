#include "health/forecast.h"

#include <doctest/doctest.h>

#include <vector>

namespace limpet::health::forecast_test {

using limpet::routing::pause_code;
using limpet::routing::SessionTable;
using limpet::routing::SessionView;

constexpr uint32_t kNow = 1'700'000'000;
constexpr Horizon kHorizon{
    .now = kNow, .deadline = kNow + 3600, .idle_timeout = 600, .unreturned_timeout = 60};

// Every other visit is the last, and between two are 60 to 64 seconds.
History simple() {
  History history;
  history.pauses.counts[pause_code(60)] = 1000;
  history.expired = 1000;
  return history;
}

std::vector<SessionView> seen(size_t count, uint32_t ago, bool returned = true, bool polls = false) {
  return std::vector<SessionView>(
      count,
      {.home = 0, .first_seen = kNow - 2000, .last_seen = kNow - ago, .returned = returned, .polls = polls});
}

TEST_CASE("sessions make visits until one is the last, and are gone when they have idled out") {
  const Forecast it = forecast(simple(), seen(100, 0), kHorizon);
  CHECK(it.sessions == 100);
  CHECK(it.is_known);
  // 600 s after the last visit. One in eight makes more than two further ones, one in sixteen more than
  // three: the 90 % mark is between these, give or take the luck of the draws.
  REQUIRE(it.gone_90);
  CHECK(*it.gone_90 >= 600 + 2 * 60);
  CHECK(*it.gone_90 <= 600 + 3 * 64);
  REQUIRE(it.gone_50);
  CHECK(*it.gone_50 >= 600);
  CHECK(*it.gone_50 <= 664);
  CHECK(it.left_at_deadline == 0);
  CHECK(it.deadline == 3600);
}

TEST_CASE("whoever has been away for longer than anybody who came back is on the way out") {
  const Forecast it = forecast(simple(), seen(100, 300), kHorizon);
  CHECK(it.gone_50 == 300);
  CHECK(it.gone_99 == 300);
}

TEST_CASE("sessions that end by logout are gone at once when they do") {
  History history = simple();
  history.expired = 0;
  history.logged_out = 3000;
  const Forecast it = forecast(history, seen(100, 0), kHorizon);
  REQUIRE(it.gone_50);
  CHECK(*it.gone_50 >= 60);
  CHECK(*it.gone_50 <= 64);
}

TEST_CASE("sessions whose clients never came back are gone after the unreturned timeout") {
  History history = simple();
  history.unreturned_ended = 1000;
  const Forecast it = forecast(history, seen(100, 20, false), kHorizon);
  CHECK(it.gone_50 == 40);
  CHECK(it.gone_99 == 40);
}

TEST_CASE("sessions that poll do not end before the deadline") {
  auto sessions = seen(70, 300);
  const auto polling = seen(30, 3, true, true);
  sessions.insert(sessions.end(), polling.begin(), polling.end());
  const Forecast it = forecast(simple(), sessions, kHorizon);
  CHECK(it.polling == 30);
  CHECK(it.gone_50 == 300);
  CHECK_FALSE(it.gone_90);
  CHECK(it.left_at_deadline == 30);
  CHECK(text(it) ==
        "100 sessions left, 50 % gone in 5 min, about 30 still there at the deadline in 1 h, 30 kept "
        "alive only by polling");
}

TEST_CASE("where all poll, all are left at the deadline, and that is known without any history") {
  const Forecast it = forecast({}, seen(12, 3, true, true), kHorizon);
  CHECK(it.is_known);
  CHECK_FALSE(it.gone_50);
  CHECK(it.left_at_deadline == 12);
  CHECK(text(it) ==
        "12 sessions left, about 12 still there at the deadline in 1 h, 12 kept alive only by polling");
}

TEST_CASE("with too little data it says so, how much there is and how much it takes") {
  History history = simple();
  history.expired = 60;
  history.logged_out = 39;
  const Forecast it = forecast(history, seen(184, 10), kHorizon);
  CHECK_FALSE(it.is_known);
  CHECK_FALSE(it.gone_50);
  CHECK(text(it) == "184 sessions left (no forecast until 100 sessions have ended: 99 so far)");
  history.logged_out = 40;
  CHECK(forecast(history, seen(184, 10), kHorizon).is_known);
}

TEST_CASE("what is beyond the deadline is not said to be gone") {
  Horizon horizon = kHorizon;
  horizon.deadline = kNow + 500;
  const Forecast it = forecast(simple(), seen(1000, 0), horizon);
  CHECK_FALSE(it.gone_50);
  CHECK(it.left_at_deadline == 1000);
  horizon.deadline = kNow;
  CHECK(forecast(simple(), seen(1000, 0), horizon).left_at_deadline == 1000);
}

TEST_CASE("many sessions are forecast by a sample of them, a few by many lives of each") {
  auto sessions = seen(5000, 300);
  const auto others = seen(5000, 0);
  sessions.insert(sessions.end(), others.begin(), others.end());
  Horizon horizon = kHorizon;
  horizon.deadline = kNow + 500;
  const Forecast many = forecast(simple(), sessions, horizon);
  CHECK(many.sessions == 10'000);
  CHECK(many.left_at_deadline == 5000);
  const Forecast one = forecast(simple(), seen(1, 0), kHorizon);
  REQUIRE(one.gone_90);
  CHECK(*one.gone_90 >= 600 + 2 * 60);
  CHECK(*one.gone_90 <= 600 + 3 * 64);
}

TEST_CASE("the same sessions have the same forecast") {
  const Forecast one = forecast(simple(), seen(77, 5), kHorizon),
                 other = forecast(simple(), seen(77, 5), kHorizon);
  CHECK(one.gone_50 == other.gone_50);
  CHECK(one.gone_90 == other.gone_90);
  CHECK(one.gone_99 == other.gone_99);
}

TEST_CASE("one sentence says it") {
  Forecast it;
  CHECK(text(it) == "no sessions left");
  it.is_known = true;
  it.sessions = 184;
  it.polling = 12;
  it.gone_90 = 14 * 60 + 5;
  CHECK(text(it) == "184 sessions left, 90 % gone in 14 min, 12 kept alive only by polling");
  it.sessions = 1;
  it.polling = 0;
  it.gone_90 = 7;
  CHECK(text(it) == "1 session left, 90 % gone in 7 s");
  it.gone_90 = 5 * 3600;
  CHECK(text(it) == "1 session left, 90 % gone in 5 h");
  it.gone_90 = 26 * 3600 + 1000;
  CHECK(text(it) == "1 session left, 90 % gone in 1 d 2 h");
  it.gone_90 = 90 * 60;
  CHECK(text(it) == "1 session left, 90 % gone in 1 h 30 min");
}

// --- The model ---

TEST_CASE("a pause's probability and its seconds are each other's inverse") {
  History history = simple();
  history.pauses.counts[pause_code(5)] = 300;
  history.pauses.counts[pause_code(200)] = 700;
  const PauseModel model(history, {});
  CHECK(model.longer_than(0) == 1);
  CHECK(model.longer_than(60) == doctest::Approx(2700.0 / 3000));
  CHECK(model.longer_than(64) == doctest::Approx(1700.0 / 3000));
  CHECK(model.longer_than(10'000) == doctest::Approx(1000.0 / 3000));
  for (const double seconds : {5.5, 61.0, 63.9, 201.0}) {
    CHECK(model.seconds_at(model.longer_than(seconds)) == doctest::Approx(seconds));
  }
  CHECK(model.seconds_at(0.3) > 1e9);
}

TEST_CASE("sessions that idle at the moment tell that they have not come back so soon") {
  History history;
  history.pauses.counts[pause_code(10)] = 100;
  history.live_returned = 300;
  CHECK(PauseModel(history, {}).longer_than(20) == doctest::Approx(0));
  CHECK(PauseModel(history, {500, 500}).longer_than(20) == doctest::Approx(0.75));  // a sample, for all 300
  CHECK(PauseModel(history, {0, 500}).longer_than(20) == doctest::Approx(0.6));
}

TEST_CASE("logouts are a share of all visits") {
  History history = simple();
  history.logged_out = 500;
  CHECK(PauseModel(history, {}).logout() == doctest::Approx(0.2));
}

TEST_CASE("the longer an unreturned session idles, the less likely its client comes back") {
  History history;
  history.pauses.counts[pause_code(10)] = 100;
  history.pauses.counts[pause_code(30)] = 100;
  history.unreturned_ended = 100;
  history.came_back = 100;
  const PauseModel model(history, {});
  CHECK(model.unreturned_ends(0, 60) == doctest::Approx(0.5));
  CHECK(model.unreturned_ends(20, 60) == doctest::Approx(100.0 / 150));
  CHECK(model.unreturned_ends(50, 60) == doctest::Approx(1));
  CHECK(PauseModel({}, {}).unreturned_ends(5, 60) == 1);
}

TEST_CASE("a pool's history is read from its census") {
  SessionTable table(1000, {.idle = 600, .unreturned = 60});
  const auto open = [&](uint64_t key) {
    table.open(key, 0, kNow, SessionTable::Room::none, SessionTable::Begun::by_answer);
  };
  for (uint64_t key = 0; key < 10; ++key) open(key);
  for (uint64_t key = 0; key < 6; ++key) table.find_and_touch(key, kNow + 10);
  table.restore(20, 0, kNow);
  table.restore(21, 0, kNow + 600);
  table.log_out(0, 0, kNow + 20);
  table.log_out(9, 0, kNow + 20);
  table.unbind(1, kNow + 20);
  table.find_and_touch(2, kNow + 600);
  for (size_t i = 0; i < SessionTable::kSweeps; ++i) table.sweep(kNow + 700);
  const History history = History::from(table.census(), table.pauses());
  CHECK(history.logged_out == 1);
  CHECK(history.expired == 4);           // 3, 4, 5 and the first restored
  CHECK(history.unreturned_ended == 4);  // 6, 7, 8 and the logout of 9
  CHECK(history.came_back == 6);
  CHECK(history.live_returned == 2);  // 2 and the second restored
}

}  // namespace limpet::health::forecast_test
