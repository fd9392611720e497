// Where a request goes, and why: (identity, fleet, table, tried) -> backend and reason. One Router for each
// pool, shared by all workers. Every call is thread-safe but sweep(); nothing blocks but a shard of the
// session table; nothing allocates for a session that is known and keeps its home.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"
#include "routing/decision.h"
#include "routing/fleet.h"
#include "routing/request_view.h"
#include "routing/seconds.h"
#include "routing/session_table.h"
#include "routing/tried.h"

namespace limpet::routing {

struct Memory;

class Router {
 public:
  // What a pool of these settings remembers. Routers that follow each other share it.
  static std::shared_ptr<Memory> new_memory(const conf::Pool& pool);

  // `keys` seal and open tokens (the first seals), 32 bytes each, and are needed where the pool's affinity
  // has a cookie; `hash_secret` keys the affinity hash, 32 bytes. Throws std::invalid_argument for other
  // keys. `seed`: for placement's draws and the sessions' numbers; from the system where none is given.
  Router(const conf::Pool& pool, const std::vector<std::string>& keys, const std::string& hash_secret,
         std::shared_ptr<Memory> memory, std::optional<uint64_t> seed = std::nullopt);
  ~Router();

  // Finds the request's key: of the first kind in the pool's affinity that has one. A valid token is read
  // whatever the key, where the affinity has a cookie: it knows the home of a session that the table forgot.
  Identity identify(const RequestView& request, const Fleet& fleet, Now now) const;

  // The request comes, by the pool's rate: 0, or how many microseconds it is too early. `client`: the address
  // that is believed.
  uint64_t take_turn(const Identity& identity, const conf::IpAddress& client, Now now, uint64_t now_us);

  // Home first, or a new place; never a backend in `tried`. When the home is in `tried` or out of service the
  // session moves to what is returned, at once, so that concurrent requests of one session agree. The home is
  // not tried twice by itself: waiting for it (`patience`) is the caller's, who then leaves it out of
  // `tried`. A choice that was made before is released before the next.
  Choice choose(const Identity& identity, const Fleet& fleet, const Tried& tried, Now now);

  // The head of a final answer arrived from `choice`: learns ids that the application set or deleted, opens,
  // renews and ends sessions, gives back what choose() reserved and nothing used, and says what to add to the
  // answer.
  Outcome account(const Identity& identity, const Choice& choice, const Fleet& fleet,
                  const RequestView& request, const ResponseView& response, Now now);

  // The session's request goes on: it is not idle.
  void touch(const Identity& identity, Now now);

  // No answer came from `choice`: gives back what choose() reserved.
  void release(const Choice& choice);

  // What operators ask and order of the session that they name: by its address, its id or its token. nullopt:
  // there cannot be such a session. A home of kNoSlot: there could, but there is none.
  std::optional<SessionView> find(std::string_view session, Now now);
  bool unbind(std::string_view session, Now now);  // false: there is none
  // Moves the session, or binds the key where there is none, to a backend. False: there cannot be such a
  // session.
  bool pin(std::string_view session, Slot home, Now now);

  // Expires idle sessions, a slice of the table at each call; to be called about once a second by one thread.
  void sweep(Now now);

  const std::shared_ptr<Memory>& memory() const;
  SessionTable& table();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace limpet::routing
