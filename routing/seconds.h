// Time as routing keeps it: whole seconds.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "conf/settings.h"

namespace limpet::routing {

// What both clocks say. Sessions age by one that nobody sets; tokens, which others read, tell the time of
// day.
struct Now {
  uint32_t wall;    // Unix time, which may jump
  uint32_t steady;  // since any moment

  constexpr Now(uint32_t its_wall, uint32_t its_steady) : wall(its_wall), steady(its_steady) {}
  constexpr Now(uint32_t both) : Now(both, both) {}  // where nobody sets the clock
};

// 0 when the clock went back in between.
constexpr uint32_t elapsed(uint32_t since, uint32_t now) { return now > since ? now - since : 0; }

// Never less than the duration is.
constexpr uint32_t whole_seconds(conf::Duration duration) {
  const int64_t seconds = std::chrono::ceil<std::chrono::seconds>(duration).count();
  return static_cast<uint32_t>(std::clamp<int64_t>(seconds, 0, UINT32_MAX));
}

// A token is sent again once so much time has passed, and so is read for that much longer than idle_timeout.
constexpr uint32_t renewal_interval(uint32_t idle_timeout) { return std::max(idle_timeout / 4, 1u); }
constexpr uint64_t token_life(uint32_t idle_timeout) {
  return uint64_t{idle_timeout} + renewal_interval(idle_timeout);
}

}  // namespace limpet::routing
