// What a request has learnt about the pool's backends the hard way.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "routing/fleet.h"

namespace limpet::routing {

// Backends that this request has tried in vain, and whether it would still wait for its home.
struct Tried {
  static constexpr size_t kMost = 16;  // attempts after which a request gives up
  std::array<Slot, kMost> slots{};
  uint8_t count = 0;
  bool patient = false;
  bool sheds = false;    // no session is begun now
  Slot known = kNoSlot;  // the backend that knows the client by its connection: goes before any other place

  void add(Slot slot) {
    if (count < kMost) slots[count++] = slot;
  }
  bool contains(Slot slot) const {
    return std::find(slots.begin(), slots.begin() + count, slot) != slots.begin() + count;
  }
};

}  // namespace limpet::routing
