// Which backend takes a session that has no home yet: the pool's `placement`, by weight, among those that may
// take one.
#pragma once

#include <atomic>
#include <cstdint>

#include "conf/settings.h"
#include "routing/fleet.h"
#include "routing/homes.h"
#include "routing/per_slot.h"
#include "routing/permits.h"
#include "routing/random.h"
#include "routing/tried.h"

namespace limpet::routing {

// The backends that one request may be placed at.
struct Candidates {
  const Fleet& fleet;
  const Tried& tried;
  const Homes& homes;
  const Permits& permits;
  bool free_only = false;  // those where no request would have to wait

  bool usable(Slot slot) const {
    return fleet.backends[slot].takes_new_sessions() && !tried.contains(slot) &&
           (!free_only || permits.has_free(slot));
  }
  bool has_room(Slot slot) const { return homes.has_room(slot, fleet.backends[slot].max_sessions); }
  bool admits(Slot slot) const { return usable(slot) && has_room(slot); }
};

// Thread-safe. Placement advises; only Homes::reserve() decides, so two requests that pick the last
// place at once do not both get it.
class Placement {
 public:
  // `opens_seldom`: many a request that is placed opens no session.
  Placement(conf::Placement how, uint64_t seed, bool opens_seldom = false);

  // kNoSlot when no backend admits.
  // - least_sessions: fewest sessions and reservations for its weight; ties take turns. Where requests open
  //   sessions but seldom, all that have about as few do: else one more session would send every request
  //   without one elsewhere.
  // - round_robin: as the function of that name.
  // - hash: rendezvous of `client`, its address hashed, so that one client's sessions meet; of a random
  //   number where that is 0, not known.
  // - random_two: the less loaded of two drawn by weight (M. Mitzenmacher, "The power of two choices in
  //   randomized load balancing", IEEE TPDS 12(10), 2001).
  Slot pick(const Candidates& candidates, uint64_t client);

  // Smooth weighted round-robin: each gains its weight, the highest is taken and loses what all gained, so
  // that a heavy backend's turns are spread out. Exact for one thread, close to it for several.
  Slot round_robin(const Candidates& candidates);
  // The same for what is of no session, and needs no room: where the fewest sessions are, all of it would go
  // to one backend.
  Slot any(const Candidates& candidates);

  // Where a request has the fewest others for its place, of these and of those that wait. kNoSlot when none
  // fits.
  static Slot least_crowded(const Candidates& candidates, bool needs_room);

 private:
  struct Turn {
    std::atomic<int64_t> credit{0};
  };

  Slot least_sessions(const Candidates& candidates);
  template <class Fits>
  Slot take_turns(const Candidates& candidates, Fits&& fits);
  Slot random_two(const Candidates& candidates);

  const conf::Placement how_;
  const bool opens_seldom_;
  SharedRandom random_;
  PerSlot<Turn> turns_;
};

}  // namespace limpet::routing
