// Random inputs for property tests: from a fixed seed, printed when a test fails.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>

namespace limpet::routing::test {

class Inputs {
 public:
  explicit Inputs(uint64_t seed) : engine_(seed) {}

  uint64_t number() { return engine_(); }
  uint64_t below(uint64_t bound) { return engine_() % bound; }
  bool one_in(uint64_t chances) { return below(chances) == 0; }
  std::string bytes(size_t size) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(below(256));
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace limpet::routing::test

// Opens a test's random inputs under the name `inputs`.
#define LIMPET_RANDOM_INPUTS(seed)            \
  limpet::routing::test::Inputs inputs(seed); \
  INFO("seed " << (seed))
