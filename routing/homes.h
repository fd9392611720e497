// What the session table knows of each backend as a home: how many sessions it holds, whether it is in
// service, which of its sessions are at risk, and what became of them. Thread-safe. Only what changes who is
// at risk locks, for some nanoseconds.
//
// A session is at risk while its home is out of service, and from then on until that home has answered it. A
// home's life goes in spells, in service and out of it by turns; a session carries the number of the spell in
// which its home answered it last, and is safe in that spell alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "routing/fleet.h"
#include "routing/ledger.h"
#include "routing/per_slot.h"
#include "routing/relaxed.h"

namespace limpet::routing {

// Those of a home's sessions that are at risk. At every moment live = put + joined - what became of them.
struct AtRisk {
  uint64_t live = 0, returned = 0;
  uint64_t put = 0;     // so many ever were, since the home left service
  uint64_t joined = 0;  // so many, since they came to it meanwhile
  Books books;          // what became of them: recovered, or gone from this home
};

struct HomeCensus {
  Books books;              // what happened to sessions while this was their home
  uint64_t arrived = 0;     // sessions that came here from another home: carried, moved or reassigned
  Books lost_in_service{};  // lost and carried, though they were not at risk
  uint64_t failed_back = 0,
           lost_by_failback = 0;  // of these: called home by their first home
  uint64_t live = 0;
  uint64_t live_returned = 0;
  AtRisk at_risk{};
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

  // Sessions come and go. `took_reservation`: its place is reserved already. Returned is the spell, the
  // session's from now on.
  uint16_t add(Slot home, bool returned, bool took_reservation);
  // One that was here in that spell, and may be at risk since.
  uint16_t rejoin(Slot home, bool returned, uint16_t spell);
  // One that is at risk, though the home may be back in service.
  uint16_t add_at_risk(Slot home, bool returned, bool took_reservation);
  // At a place that is reserved; `counts` as one that arrived from another home.
  uint16_t arrive(Slot home, bool returned, bool counts, bool at_risk = false);
  // `how`: what became of it; `called_back`: by its first home.
  void remove(Slot home, bool returned, uint16_t spell, Event how, bool called_back = false);
  // The client of one of its sessions has come back.
  void came_back(Slot home, uint16_t spell);
  void count(Slot home, Event event, bool returned);

  bool in_service(Slot home) const { return is_served(spell(home)); }
  void set_in_service(Slot home, bool in_service);
  void put_at_risk(Slot home);  // all its sessions, though it is in service
  // Until that time of day it was out of service, or was restarted; 0: it never was.
  void set_shaken(Slot home, uint32_t until) { at(home).shaken_until.store(until, kRelaxed); }
  bool was_shaken(Slot home, uint32_t since) const {
    const uint32_t until = at(home).shaken_until.load(kRelaxed);
    return until != 0 && until >= since;
  }
  bool is_at_risk(Slot home, uint16_t since) const { return since != spell(home) || !is_served(since); }
  // The other one was out of service, or was restarted, at some time since `home` left service last.
  bool was_out_since(Slot other, Slot home) const {
    return at(other).changed.load(kRelaxed) > at(home).left.load(kRelaxed);
  }
  // The home has answered a session, whose spell it is. True: it was at risk until now.
  bool recover(Slot home, bool returned, uint16_t& spell);

  HomeCensus census(Slot home) const;
  // Over all homes.
  struct Sum {
    uint64_t at_risk = 0, at_risk_returned = 0;
  };
  Sum sum() const;

 private:
  using Counts = std::array<std::atomic<uint64_t>, kEvents>;
  struct Home {
    alignas(64) std::atomic<uint16_t> spell{0};  // looked at with each request
    alignas(64) std::atomic<uint32_t> load{0};
    std::atomic<uint32_t> live{0}, returned{0};
    std::atomic<uint64_t> arrived{0};
    std::atomic<uint32_t> shaken_until{0};
    std::atomic<uint64_t> changed{0}, left{0};  // the numbers of the changes that were the latest
    Counts all{}, of_returned{};

    // Guards the rest, and changes of `spell`. What an incident makes a sum of is guarded together: it may
    // look between any two steps.
    std::mutex mutex;
    uint32_t safe = 0, safe_returned = 0;
    AtRisk at_risk{};
    Books lost_in_service;
    uint64_t failed_back = 0, lost_by_failback = 0;
  };
  void begin_spell(Home& home, unsigned steps);
  uint16_t join(Slot home, bool returned, std::optional<uint16_t> since);
  static bool is_served(uint16_t spell) { return spell % 2 == 0; }
  uint16_t spell(Slot home) const { return at(home).spell.load(kRelaxed); }

  Home& at(Slot home) const { return homes_[home]; }
  static bool fits(const Home& home, uint32_t load, uint32_t limit);  // one more

  PerSlot<Home> homes_;
  std::atomic<uint64_t> changes_{0};  // of any home's service
};

}  // namespace limpet::routing
