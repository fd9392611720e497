#include "routing/rendezvous.h"

#include <cmath>

#include "routing/hash.h"

namespace limpet::routing {

double rendezvous_score(uint64_t key, uint64_t backend, uint32_t weight) {
  // 52 bits and a half: never 0, never 1, and exact in a double.
  constexpr double kUnit = 0x1p-52;
  const double u = (static_cast<double>(mixed(key ^ mixed(backend)) >> 12) + 0.5) * kUnit;
  return -static_cast<double>(weight) / std::log(u);
}

}  // namespace limpet::routing
