// Chooses the backend of one request: the session's home, or a new place where it has none, or none that can
// serve.
//
// A home is looked for in this order: the session table, a valid token, the hash of the key. Where the home
// cannot serve, the session is given a new one in the table before the request goes there, so that concurrent
// requests of one session, which all come by here, end up at the same backend.
#pragma once

#include <atomic>
#include <cstdint>

#include "conf/settings.h"
#include "routing/decision.h"
#include "routing/fleet.h"
#include "routing/placement.h"
#include "routing/session_table.h"
#include "routing/tried.h"

namespace limpet::routing {

// Thread-safe.
class Chooser {
 public:
  // `table` outlives the chooser. `seed`: any number; for placement's draws.
  Chooser(const conf::Pool& pool, SessionTable& table, uint64_t seed);

  Choice choose(const Identity& identity, const Fleet& fleet, const Tried& tried, uint32_t now);

 private:
  struct Request;  // the arguments of choose()

  Choice choose_unknown_ip(const Request& request);
  Choice choose_unknown_cookie(const Request& request);
  bool has_idled_out(const Request& request) const;
  Choice choose_unknown_id(const Request& request);
  Choice choose_untracked(const Request& request);

  Choice settle(const Request& request, Choice choice, SessionTable::Held held);
  Choice stay_or_move(const Request& request, Slot home, Reason reason);
  Choice place(const Request& request, Reason reason);
  Choice place_by_hash(const Request& request, Reason reason);
  template <class Pick>
  Choice reserve(const Request& request, Reason reason, Pick&& pick);

  const conf::Failover failover_;
  const uint32_t idle_timeout_;     // seconds
  std::atomic<uint32_t> began_{0};  // when the first request came; 0: none has
  SessionTable& table_;
  Placement placement_;
};

}  // namespace limpet::routing
