#include "health/change.h"

namespace limpet::health {

const char* text(Cause cause) {
  constexpr const char* kNames[] = {"start",  "checks", "requests", "order",
                                    "answer", "reload", "drained",  "drain_timeout"};
  return kNames[static_cast<size_t>(cause)];
}

}  // namespace limpet::health
