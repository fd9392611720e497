// Weighted rendezvous hashing: every backend draws a score from the key, the highest has it. Whoever knows
// the backends' names and weights finds the same home without asking anybody, and a change of one backend
// moves only keys that come to it or leave it.
//
// D. G. Thaler, C. V. Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions
// on Networking 6(1), 1998. The weights, -w / ln(u) with u uniform in (0, 1), are the logarithmic method of
// C. Schindelhauer, G. Schomaker, "Weighted distributed hash tables", SPAA 2005: a backend has the highest
// score with probability w / sum of w.
#pragma once

#include <cstdint>

#include "routing/fleet.h"

namespace limpet::routing {

// In (0, infinity). `key` is a hash already; `backend` is backend_id(); weight > 0.
double rendezvous_score(uint64_t key, uint64_t backend, uint32_t weight);

// What a backend's share is: its weight, the same for everybody who reads the file; or less of it while it
// warms up, which each process sees for itself.
enum class Share : uint8_t { whole, warm };

// The best of the slots for which admits(slot) holds and whose weight is not 0; kNoSlot when there is none.
template <class Admits>
Slot rendezvous(uint64_t key, const Fleet& fleet, Share share, Admits&& admits) {
  Slot best = kNoSlot;
  double best_score = 0;
  for (size_t i = 0; i < fleet.backends.size(); ++i) {
    const Backend& backend = fleet.backends[i];
    const Slot slot = static_cast<Slot>(i);
    if (backend.weight == 0 || !admits(slot)) continue;
    const uint32_t weight = share == Share::whole ? backend.weight : backend.effective_weight();
    if (const double score = rendezvous_score(key, backend.id, weight); score > best_score) {
      best = slot;
      best_score = score;
    }
  }
  return best;
}

}  // namespace limpet::routing
