// What the session table knows of each backend as a home: how many sessions it holds, whether it is in
// service, and what became of its sessions. Thread-safe; nothing locks.
#pragma once

#include <atomic>
#include <cstdint>

#include "routing/fleet.h"
#include "routing/ledger.h"
#include "routing/per_slot.h"
#include "routing/relaxed.h"

namespace limpet::routing {

struct HomeCensus {
  Books books;               // what happened to sessions while this was their home
  uint64_t arrived = 0;      // sessions that came here from another home: carried, moved or reassigned
  uint64_t failed_back = 0;  // of the lost and carried: called back by their first home
  uint64_t live = 0;
  uint64_t live_returned = 0;
  bool in_service = true;

  // What happened since then; sessions and service as they are now.
  HomeCensus operator-(const HomeCensus& earlier) const;
};

class Homes {
 public:
  // Places. A reservation counts as load until a session uses it or it is released. `limit`: so many sessions
  // whose clients have come back, and as many besides whose clients have not yet, reservations among them; 0:
  // no limit.
  bool reserve(Slot home, uint32_t limit);  // false at the limit
  bool has_room(Slot home, uint32_t limit) const { return fits(at(home), load(home), limit); }
  void release(Slot home) { at(home).load.fetch_sub(1, kRelaxed); }
  uint32_t load(Slot home) const { return at(home).load.load(kRelaxed); }  // sessions and reservations
  uint32_t live(Slot home) const { return at(home).live.load(kRelaxed); }
  bool is_empty(Slot home) const { return load(home) == 0 && live(home) == 0; }

  // Sessions come and go. `took_reservation`: its place is reserved already.
  void add(Slot home, bool returned, bool took_reservation);
  void remove(Slot home, bool returned);
  // At a place that is reserved; `counts` as one that arrived from another home.
  void arrive(Slot home, bool returned, bool counts);
  // The client of one of its sessions has come back.
  void came_back(Slot home) { at(home).returned.fetch_add(1, kRelaxed); }
  void count(Slot home, Event event, bool returned);
  void count_failed_back(Slot home) { at(home).failed_back.fetch_add(1, kRelaxed); }

  // Out of service, a home's sessions are at risk. Where it comes back, what is still there has recovered.
  bool in_service(Slot home) const { return !at(home).out.load(kRelaxed); }
  void set_in_service(Slot home, bool in_service);

  HomeCensus census(Slot home) const;
  // Over all homes.
  struct Sum {
    uint64_t at_risk = 0, at_risk_returned = 0;
    uint64_t recovered = 0, recovered_returned = 0;
  };
  Sum sum() const;

 private:
  using Counts = std::array<std::atomic<uint64_t>, kEvents>;
  struct Home {
    std::atomic<uint32_t> load{0}, live{0}, returned{0};
    std::atomic<bool> out{false};
    std::atomic<uint64_t> arrived{0}, failed_back{0};
    Counts all{}, of_returned{};
  };

  Home& at(Slot home) const { return homes_[home]; }
  static bool fits(const Home& home, uint32_t load, uint32_t limit);  // one more

  PerSlot<Home> homes_;
};

}  // namespace limpet::routing
