// How long sessions pause between two requests: what a drain's forecast is made of, and what gives away a
// session that only a timer keeps alive.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace limpet::routing {

// A pause in a byte, to one part in eight: the exponent of its seconds, and the three bits behind the leading
// one. Requests within the same second or the next belong to one visit, and are no pause.
inline constexpr uint32_t kShortestPause = 2;  // seconds

constexpr uint8_t pause_code(uint32_t seconds) {
  const auto exponent = static_cast<uint32_t>(std::bit_width(seconds)) - 1;
  const uint32_t fraction = exponent >= 3 ? seconds >> (exponent - 3) & 7 : seconds << (3 - exponent) & 7;
  return static_cast<uint8_t>(exponent << 3 | fraction);
}
constexpr uint32_t pause_seconds(uint8_t code) {  // the least that has this code
  const uint32_t exponent = code >> 3, mantissa = 8u | (code & 7u);
  return exponent >= 3 ? mantissa << (exponent - 3) : mantissa >> (3 - exponent);
}

// Two pauses that a timer may have made.
constexpr bool are_alike(uint32_t pause, uint32_t other) {
  const uint32_t difference = pause > other ? pause - other : other - pause;
  return difference <= 1 || difference <= other / 8;
}

// So many pauses alike in succession, and a session is taken for one that polls.
inline constexpr uint8_t kSteadyPolling = 5;

// How often each pause was seen; the last counts all from eleven days on.
struct PauseCounts {
  static constexpr size_t kCodes = 160;
  std::array<uint64_t, kCodes> counts{};
};

// The same while threads count.
struct Pauses {
  void note(uint8_t code) {
    counts[std::min<size_t>(code, PauseCounts::kCodes - 1)].fetch_add(1, std::memory_order_relaxed);
  }

  std::array<std::atomic<uint32_t>, PauseCounts::kCodes> counts{};
};

}  // namespace limpet::routing
