// Random strings of bytes for what a fuzz target plays, so that unit tests play it as well.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace limpet::test {

// Calls `play` so many times with other bytes, the same in each run.
template <class Play>
void play_randomly(int plays, size_t most_bytes, Play&& play) {
  std::mt19937_64 random(20240611);
  for (int i = 0; i < plays; ++i) {
    std::vector<uint8_t> bytes(20 + random() % most_bytes);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    play(bytes);
  }
}

}  // namespace limpet::test
