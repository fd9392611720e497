// The judges of a pool, by slot, and what they owe to each other: never more than `max_down_percent` of the
// pool's backends are down on weak evidence (verdict.h), for what fails then may be the network, or Limpet.
//
// Slots are the fleet's, and stay. A backend that the file does not name any more drains and keeps its slot
// and judge.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "conf/settings.h"
#include "health/judge.h"
#include "routing/fleet.h"

namespace limpet::health {

struct SlotChange {
  Slot slot = routing::kNoSlot;
  Change change;
};

class PoolHealth {
 public:
  // `fleet` has a slot for each of the pool's backends; the judges begin up. `now`: the process begins to
  // serve the pool. `seed` spreads the checks.
  PoolHealth(const conf::Pool& pool, const routing::Fleet& fleet, Millis now, uint64_t seed);

  // After a reload. `fleet` has the slots it had, and more where there are new backends. A slot that has
  // another backend now has a new judge.
  std::vector<SlotChange> reconfigure(const conf::Pool& pool, const routing::Fleet& fleet, Millis now);
  void free(std::span<const Slot> slots);  // nobody has them: nothing is asked, and nothing changes there
  std::vector<SlotChange> remove_all(Millis now);            // the file does not name the pool any more
  void drop_last() { judges_.pop_back(), ids_.pop_back(); }  // of the last slot, which is free

  const Judge& operator[](Slot slot) const { return judges_[slot]; }
  size_t size() const { return judges_.size(); }

  // Evidence and orders, as Judge has them.
  void answered(Slot slot, Answered last) { judges_[slot].answered(last); }
  Changed told(Slot slot, const Evidence& evidence, Millis now) { return judges_[slot].told(evidence, now); }
  Changed checked(Slot slot, const CheckResult& result, Millis now);
  Judge::Answer order(Slot slot, Order order, const std::string& who, Millis now);

  // To be called about once a second: deadlines and drains that are finished. `sessions` by slot, with
  // reservations (Homes::load).
  std::vector<SlotChange> tick(std::span<const uint32_t> sessions, Millis now);

  // Begins the checks that are due: for each, checked() has to follow.
  std::vector<Slot> take_due(Millis now);
  bool take_due(Slot slot, Millis now);

  // What to tell the router: states and warmth, which grows by itself. True: `fleet` did not have it so.
  bool put_into(routing::Fleet& fleet, Millis now) const;
  bool put_into(routing::Fleet& fleet, Slot slot, Millis now) const;

  // How the limit stands.
  size_t listed() const;
  size_t down_on_weak_evidence() const;  // of the listed
  size_t held() const;  // backends that only the limit keeps from being down; not 0: it binds

 private:
  bool may_go_down(Slot slot) const;

  const uint64_t seed_;
  const Millis served_since_;
  uint32_t max_down_percent_ = 0;
  std::vector<Judge> judges_;  // by slot
  std::vector<uint64_t> ids_;  // by slot: whom they judge; 0: nobody
};

}  // namespace limpet::health
