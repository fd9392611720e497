#include "routing/rendezvous.h"

#include <doctest/doctest.h>

#include <string>

#include "routing/hash.h"
#include "tests/routing/random_inputs.h"

namespace limpet::routing::rendezvous_test {

Fleet fleet_of(std::vector<uint32_t> weights) {
  Fleet fleet;
  for (const uint32_t weight : weights) {
    Backend backend;
    backend.name = "app-" + std::to_string(fleet.backends.size() + 1);
    backend.id = backend_id(backend.name);
    backend.weight = weight;
    fleet.backends.push_back(backend);
  }
  return fleet;
}

Slot home_of(uint64_t key, const Fleet& fleet) {
  return rendezvous(key, fleet, Share::warm, [](Slot) { return true; });
}

// Pearson's statistic of observed counts against those that the weights promise.
double chi_square(const std::vector<uint64_t>& counts, const Fleet& fleet, double total) {
  double weights = 0, sum = 0;
  for (const Backend& backend : fleet.backends) weights += backend.weight;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * fleet.backends[i].weight / weights;
    const double off = static_cast<double>(counts[i]) - expected;
    sum += off * off / expected;
  }
  return sum;
}

TEST_CASE("keys spread over the backends as their weights say") {
  LIMPET_RANDOM_INPUTS(501);
  const Fleet fleet = fleet_of({100, 100, 50, 300, 1, 1000});
  constexpr int kKeys = 200000;
  std::vector<uint64_t> counts(fleet.backends.size());
  for (int i = 0; i < kKeys; ++i) ++counts[home_of(inputs.number(), fleet)];
  CHECK(chi_square(counts, fleet, kKeys) < 25.7);  // 5 degrees of freedom: passed once in 10000 by chance
}

TEST_CASE("keys that are close to each other spread as well as any") {
  const Fleet fleet = fleet_of({1, 1, 1, 1, 1});
  constexpr int kKeys = 100000;
  std::vector<uint64_t> counts(fleet.backends.size());
  for (uint64_t key = 0; key < kKeys; ++key) ++counts[home_of(key, fleet)];
  CHECK(chi_square(counts, fleet, kKeys) < 23.5);  // 4 degrees of freedom, once in 10000
}

TEST_CASE("a new backend takes its share of the keys, and no key moves but to it") {
  LIMPET_RANDOM_INPUTS(502);
  const Fleet before = fleet_of({100, 200, 100}), after = fleet_of({100, 200, 100, 100});
  constexpr int kKeys = 100000;
  int moved = 0;
  for (int i = 0; i < kKeys; ++i) {
    const uint64_t key = inputs.number();
    const Slot old_home = home_of(key, before), new_home = home_of(key, after);
    if (old_home == new_home) continue;
    ++moved;
    REQUIRE(new_home == 3);
  }
  CHECK(moved > kKeys / 5 * 0.96);
  CHECK(moved < kKeys / 5 * 1.04);
}

TEST_CASE("a backend that leaves gives up its own keys and moves no other") {
  LIMPET_RANDOM_INPUTS(503);
  const Fleet fleet = fleet_of({100, 200, 100, 70});
  for (int i = 0; i < 50000; ++i) {
    const uint64_t key = inputs.number();
    const Slot home = home_of(key, fleet);
    const Slot without = rendezvous(key, fleet, Share::warm, [](Slot slot) { return slot != 1; });
    if (home == 1) {
      REQUIRE(without != 1);
    } else {
      REQUIRE(without == home);
    }
  }
}

TEST_CASE("a backend whose weight grows only gains keys") {
  LIMPET_RANDOM_INPUTS(504);
  const Fleet before = fleet_of({100, 100, 100}), after = fleet_of({100, 150, 100});
  for (int i = 0; i < 50000; ++i) {
    const uint64_t key = inputs.number();
    const Slot old_home = home_of(key, before), new_home = home_of(key, after);
    if (old_home != new_home) REQUIRE(new_home == 1);
  }
}

TEST_CASE("balancers that list the backends in another order agree on every home") {
  LIMPET_RANDOM_INPUTS(505);
  const Fleet fleet = fleet_of({100, 200, 100, 70});
  Fleet turned = fleet;
  std::swap(turned.backends[0], turned.backends[3]);
  std::swap(turned.backends[1], turned.backends[2]);
  for (int i = 0; i < 10000; ++i) {
    const uint64_t key = inputs.number();
    REQUIRE(fleet.backends[home_of(key, fleet)].name == turned.backends[home_of(key, turned)].name);
  }
}

TEST_CASE("a weight of 0 gets no key, and where nobody admits there is no home") {
  LIMPET_RANDOM_INPUTS(506);
  const Fleet fleet = fleet_of({0, 1, 0});
  for (int i = 0; i < 1000; ++i) REQUIRE(home_of(inputs.number(), fleet) == 1);
  CHECK(rendezvous(1, fleet, Share::warm, [](Slot) { return false; }) == kNoSlot);
  CHECK(home_of(1, fleet_of({0, 0})) == kNoSlot);
  CHECK(home_of(1, Fleet{}) == kNoSlot);
}

TEST_CASE("a score is a positive finite number for every key") {
  LIMPET_RANDOM_INPUTS(507);
  for (int i = 0; i < 100000; ++i) {
    const double score = rendezvous_score(inputs.number(), inputs.number(), 65535);
    REQUIRE(score > 0);
    REQUIRE(score < 1e25);
  }
}

}  // namespace limpet::routing::rendezvous_test
