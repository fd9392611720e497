// Time as routing keeps it: whole seconds of Unix time, of a clock that may go backwards.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "conf/settings.h"

namespace limpet::routing {

// 0 when the clock went back in between.
constexpr uint32_t elapsed(uint32_t since, uint32_t now) { return now > since ? now - since : 0; }

// Never less than the duration is.
constexpr uint32_t whole_seconds(conf::Duration duration) {
  const int64_t seconds = std::chrono::ceil<std::chrono::seconds>(duration).count();
  return static_cast<uint32_t>(std::clamp<int64_t>(seconds, 0, UINT32_MAX));
}

}  // namespace limpet::routing
