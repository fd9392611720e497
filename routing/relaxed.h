// For counts and hints that order nothing else.
#pragma once

#include <atomic>

namespace limpet::routing {

inline constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace limpet::routing
