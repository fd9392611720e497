// How good the forecast is: simulated users for hours of virtual time, then a drain, and the times of the
// forecast beside those of the outcome, over many seeds.
//
// Measured, as forecast over outcome (least, median, most of 40 drains of about 200 sessions):
//     nobody polls, after 4 h:                half gone 0.91 1.02 1.18, 90 % gone 0.78 0.95 1.08
//     nobody polls, after 1 h:                          0.93 1.03 1.17            0.76 0.95 1.17
//     nobody polls, users differ, after 4 h:            0.87 1.00 1.12            0.72 0.88 1.09
//     3 % poll for an hour, after 4 h:                  0.95 1.05 1.25            1.02 1.34 4.73
// So half is right to a quarter either way, and 90 % to a third where nobody polls. Where some do it comes
// late: the simulated ones stop after an hour in the mean, and of that the forecast knows nothing. At its
// worst one session in ten polls, and 90 % gone waits for the last of the others.

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "tests/health/population.h"

namespace limpet::health::forecast_simulation_test {

using limpet::health::test::Habits;
using limpet::health::test::Population;

constexpr uint32_t kHour = 3600;
constexpr uint32_t kDeadline = 6 * kHour;

// Forecast over outcome, sorted.
struct Ratios {
  std::vector<double> at_50, at_90;

  void sort() {
    std::sort(at_50.begin(), at_50.end());
    std::sort(at_90.begin(), at_90.end());
  }
};

double median(const std::vector<double>& sorted) { return sorted[sorted.size() / 2]; }

void drain(const Habits& habits, uint32_t hours, uint64_t seed, Ratios& ratios) {
  Population population(habits, seed);
  population.run_until(Population::kStart + hours * kHour);
  const Forecast forecast = population.forecast(kDeadline);
  REQUIRE(forecast.is_known);
  REQUIRE(forecast.gone_50);
  const double began_with = population.live(), began = population.now;
  population.begin_drain();
  std::optional<double> gone_50, gone_90;
  while (!gone_90 && population.now < began + kDeadline) {
    population.run_until(population.now + 1);
    const double took = population.now - began;
    if (!gone_50 && population.live() <= began_with * 0.5) gone_50 = took;
    if (!gone_90 && population.live() <= began_with * 0.1) gone_90 = took;
  }
  REQUIRE(gone_90);
  ratios.at_50.push_back(*forecast.gone_50 / *gone_50);
  ratios.at_90.push_back(forecast.gone_90.value_or(kDeadline) / *gone_90);
}

Ratios drains(const Habits& habits, uint32_t hours, uint64_t seeds) {
  Ratios ratios;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    drain(habits, hours, seed, ratios);
  }
  ratios.sort();
  return ratios;
}

// Each of these, sorted, is right to this factor either way.
void check_each_within(const std::vector<double>& sorted, double factor) {
  CAPTURE(factor);
  CHECK(sorted.front() > 1 / factor);
  CHECK(sorted.back() < factor);
}

TEST_CASE(
    "where nobody polls, half gone is right to a factor of 1.25 and 90 % gone to one of 1.35, each time") {
  Habits habits;
  habits.pollers = 0;
  const Ratios ratios = drains(habits, 4, 30);
  check_each_within(ratios.at_50, 1.25);
  check_each_within(ratios.at_90, 1.35);
  CHECK(median(ratios.at_50) == doctest::Approx(1).epsilon(0.1));
  CHECK(median(ratios.at_90) == doctest::Approx(1).epsilon(0.12));
}

TEST_CASE("an hour after the start, before most sessions have ended, it is nearly as good") {
  Habits habits;
  habits.pollers = 0;
  const Ratios ratios = drains(habits, 1, 30);
  check_each_within(ratios.at_50, 1.35);
  check_each_within(ratios.at_90, 1.5);
  CHECK(median(ratios.at_50) == doctest::Approx(1).epsilon(0.1));
  CHECK(median(ratios.at_90) == doctest::Approx(1).epsilon(0.15));
}

TEST_CASE("users who differ among themselves, which the model does not know, cost little") {
  Habits habits;
  habits.pollers = 0;
  habits.variety = 0.8;
  const Ratios ratios = drains(habits, 4, 20);
  check_each_within(ratios.at_50, 1.4);
  CHECK(median(ratios.at_90) > 1 / 1.35);
  CHECK(median(ratios.at_90) < 1.35);
}

TEST_CASE("where some poll, half gone is as good, and 90 % gone comes late rather than early") {
  const Ratios ratios = drains(Habits(), 4, 20);
  check_each_within(ratios.at_50, 1.35);
  CHECK(ratios.at_90.front() > 1 / 1.3);
  CHECK(median(ratios.at_90) < 1.6);
}

}  // namespace limpet::health::forecast_simulation_test
