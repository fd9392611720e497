// Chooses the backend of one request: the session's home, or a new place where it has none, or none that can
// serve.
//
// A home is looked for in this order: the session table, a valid token, the hash of the key. Where the home
// cannot serve, the session is given a new one in the table before the request goes there, so that concurrent
// requests of one session, which all come by here, end up at the same backend.
#pragma once

#include <cstdint>

#include "conf/settings.h"
#include "routing/decision.h"
#include "routing/fleet.h"
#include "routing/memory.h"
#include "routing/placement.h"
#include "routing/rendezvous.h"
#include "routing/seconds.h"
#include "routing/tried.h"

namespace limpet::routing {

// Thread-safe.
class Chooser {
 public:
  // `memory` outlives the chooser. `seed`: any number; for placement's draws.
  Chooser(const conf::Pool& pool, Memory& memory, uint64_t seed);

  Choice choose(const Identity& identity, const Fleet& fleet, const Tried& tried, Now now);

 private:
  struct Request;  // the arguments of choose()

  Choice choose_unknown_ip(const Request& request);
  Choice choose_unknown_cookie(const Request& request);
  bool has_idled_out(const Request& request) const;
  bool is_unbound(const Request& request) const;
  Choice choose_unknown_id(const Request& request);
  Choice restore(const Request& request, bool returned);
  SessionTable::Found heed_token(const Request& request, SessionTable::Found found);
  Choice choose_untracked(const Request& request);

  Choice place_without_key(const Request& request);
  Choice follow(const Request& request, Slot slot);

  Choice take_place(const Request& request, Slot home, Reason reason);
  Choice settle(const Request& request, Choice choice, SessionTable::Held held);
  Choice go_home(const Request& request, SessionTable::Found found);
  Choice fail_back(const Request& request, SessionTable::Found& found);
  Choice stay_or_move(const Request& request, SessionTable::Found found, Reason reason);
  Choice refuge(const Request& request, SessionTable::Found found);
  Choice place(const Request& request, Reason reason);
  Choice place_by_hash(const Request& request, Share share, Reason reason);
  Choice take_turns(const Request& request);
  template <class Pick>
  Choice reserve(const Request& request, Reason reason, Pick&& pick);

  const conf::Failover failover_;
  const conf::Failback failback_;
  const conf::Storage storage_;
  const uint32_t idle_timeout_;  // seconds
  Memory& memory_;
  SessionTable& table_;
  Placement placement_;
};

}  // namespace limpet::routing
