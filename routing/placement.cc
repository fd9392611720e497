#include "routing/placement.h"

#include "routing/relaxed.h"
#include "routing/rendezvous.h"

namespace limpet::routing {
namespace {

constexpr uint64_t kAboutAsFew = 8;  // an eighth more, and one

template <class Use>
void for_each_usable(const Candidates& candidates, Use&& use) {
  for (size_t i = 0; i < candidates.fleet.backends.size(); ++i) {
    const Slot slot = static_cast<Slot>(i);
    if (candidates.usable(slot)) use(slot, candidates.fleet.backends[i].effective_weight());
  }
}
template <class Use>
void for_each_admitted(const Candidates& candidates, Use&& use) {
  for_each_usable(candidates, [&](Slot slot, uint32_t weight) {
    if (candidates.has_room(slot)) use(slot, weight);
  });
}

// Keeps each one it is shown with the probability of its weight among all it was shown.
class WeightedDraw {
 public:
  explicit WeightedDraw(Random& draws) : draws_(draws) {}

  void show(Slot slot, uint32_t weight) {
    total_ += weight;
    if (draws_.below(total_) < weight) drawn_ = slot;
  }
  void forget() {
    total_ = 0;
    drawn_ = kNoSlot;
  }
  Slot drawn() const { return drawn_; }

 private:
  Random& draws_;
  uint64_t total_ = 0;
  Slot drawn_ = kNoSlot;
};

}  // namespace

Placement::Placement(conf::Placement how, uint64_t seed, bool opens_seldom)
    : how_(how), opens_seldom_(opens_seldom), random_(seed) {}

Slot Placement::pick(const Candidates& candidates, uint64_t client) {
  switch (how_) {
    case conf::Placement::least_sessions:
      return least_sessions(candidates);
    case conf::Placement::round_robin:
      return round_robin(candidates);
    case conf::Placement::hash:
      return rendezvous(client != 0 ? client : random_.next(), candidates.fleet, Share::warm,
                        [&](Slot slot) { return candidates.admits(slot); });
    case conf::Placement::random_two:
      return random_two(candidates);
  }
  return kNoSlot;
}

Slot Placement::least_sessions(const Candidates& candidates) {
  Slot least = kNoSlot;
  uint64_t least_load = 0, least_weight = 0;  // their quotient; quotients are compared without dividing
  for_each_admitted(candidates, [&](Slot slot, uint32_t weight) {
    const uint64_t load = candidates.homes.load(slot);
    if (least_weight != 0 && load * least_weight >= least_load * weight) return;
    least = slot;
    least_load = load;
    least_weight = weight;
  });
  const uint64_t about = least_load + (opens_seldom_ ? 1 + least_load / kAboutAsFew : 0);
  const Slot turn = take_turns(candidates, [&](Slot slot, uint32_t weight) {
    return candidates.has_room(slot) && candidates.homes.load(slot) * least_weight <= about * weight;
  });
  return turn != kNoSlot ? turn : least;  // none had so few any more: others place at the same time
}

Slot Placement::round_robin(const Candidates& candidates) {
  return take_turns(candidates, [&](Slot slot, uint32_t) { return candidates.has_room(slot); });
}

Slot Placement::any(const Candidates& candidates) {
  return take_turns(candidates, [](Slot, uint32_t) { return true; });
}

template <class Fits>
Slot Placement::take_turns(const Candidates& candidates, Fits&& fits) {
  Slot best = kNoSlot;
  int64_t best_credit = 0, total = 0;
  for_each_usable(candidates, [&](Slot slot, uint32_t weight) {
    if (!fits(slot, weight)) return;
    const int64_t credit = turns_[slot].credit.fetch_add(weight, kRelaxed) + weight;
    total += weight;
    if (best == kNoSlot || credit > best_credit) {
      best = slot;
      best_credit = credit;
    }
  });
  if (best != kNoSlot) turns_[best].credit.fetch_sub(total, kRelaxed);
  return best;
}

Slot Placement::random_two(const Candidates& candidates) {
  Random draws(random_.next());
  WeightedDraw draw(draws);
  for_each_admitted(candidates, [&](Slot slot, uint32_t weight) { draw.show(slot, weight); });
  const Slot one = draw.drawn();
  draw.forget();
  for_each_admitted(candidates, [&](Slot slot, uint32_t weight) {
    if (slot != one) draw.show(slot, weight);
  });
  const Slot two = draw.drawn();
  if (one == kNoSlot || two == kNoSlot) return one;
  const auto& backends = candidates.fleet.backends;
  const uint64_t load_one = uint64_t{candidates.homes.load(one)} * backends[two].effective_weight();
  const uint64_t load_two = uint64_t{candidates.homes.load(two)} * backends[one].effective_weight();
  return load_two < load_one ? two : one;
}

Slot Placement::least_crowded(const Candidates& candidates, bool needs_room) {
  Slot least = kNoSlot;
  double least_crowd = 0;
  for_each_usable(candidates, [&](Slot slot, uint32_t) {
    if (needs_room && !candidates.has_room(slot)) return;
    const double crowd = candidates.permits.crowd(slot);
    if (least != kNoSlot && crowd >= least_crowd) return;
    least = slot;
    least_crowd = crowd;
  });
  return least;
}

}  // namespace limpet::routing
