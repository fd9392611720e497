// Where a request goes, and why: (identity, fleet, table, tried) -> backend and reason. One Router for each pool, shared by all
// workers. Every call is thread-safe; nothing blocks but a shard of the session table; nothing allocates for a session that is
// known and keeps its home.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "conf/settings.h"
#include "routing/fleet.h"
#include "routing/request_view.h"

namespace limpet::routing {

// Why a request went where it went; the access log and the status endpoint say it in these words.
enum class Reason : uint8_t {
  bound,        // the session table knew its home
  token,        // a valid token named its home
  hash,         // a key that nothing was bound to: weighted rendezvous
  placed,       // no key: the pool's placement
  failed_over,  // its home could not serve it, so it moved
  // No backend:
  refused,     // its home cannot serve it and failover = "refuse"
  full,        // every usable backend is at max_sessions
  no_backend,  // nothing usable is left to try
};
const char* text(Reason);

// What a request says about its client.
struct Identity {
  conf::AffinityKind kind{};     // of the key that was found; the pool's first kind when there is none
  bool has_key = false;
  bool tracked = false;          // the key is of the pool's first kind, the one whose sessions are in the table
  uint64_t key = 0;              // keyed hash; the table's key
  Slot token_home = kNoSlot;     // cookie: the backend that a valid token names, when the fleet still has it
  uint32_t token_issued = 0;     // cookie: seconds of Unix time; 0: no valid token
  uint32_t token_renewed = 0;    // cookie: when it was last sent
  uint64_t token_number = 0;     // cookie: the session's random number
};

// Backends that this request has tried in vain.
struct Tried {
  static constexpr size_t kMost = 16;  // attempts after which a request gives up
  std::array<Slot, kMost> slots{};
  uint8_t count = 0;
  void add(Slot slot) { if (count < kMost) slots[count++] = slot; }
  bool contains(Slot slot) const;
};

struct Choice {
  Slot slot = kNoSlot;
  Reason reason = Reason::no_backend;
  bool reserved = false;  // a place for a session that may open is held on `slot` until account() or release()
  explicit operator bool() const { return slot != kNoSlot; }
};

// What the pool adds to an answer.
struct Outcome {
  std::optional<std::string> token;  // to be set as the pool's cookie
};

class SessionTable;

class Router {
 public:
  // `keys` sign and open tokens (the first signs), 32 bytes each; `hash_secret` keys the affinity hash, 32 bytes.
  Router(const conf::Pool& pool, const std::vector<std::string>& keys, const std::string& hash_secret);
  ~Router();

  // Finds the request's key. `now` is Unix time in seconds.
  Identity identify(const RequestView& request, const Fleet& fleet, uint32_t now) const;

  // Home first, or a new place; never a backend in `tried`. When the home is in `tried` or out of service the session moves to
  // what is returned, at once, so that concurrent requests of one session agree. The home is not tried twice by itself: waiting
  // for it (`patience`) is the caller's, who then leaves it out of `tried`.
  Choice choose(const Identity& identity, const Fleet& fleet, const Tried& tried, uint32_t now);

  // The head of a final answer arrived from `choice`: learns ids that the application set or deleted, opens, renews and ends
  // sessions, and says what to add to the answer.
  Outcome account(const Identity& identity, const Choice& choice, const Fleet& fleet, const RequestView& request,
                  const ResponseView& response, uint32_t now);

  // No answer came from `choice`: gives back what choose() reserved.
  void release(const Choice& choice);

  // Expires idle sessions, a slice of the table at each call; to be called about once a second by one thread.
  void sweep(uint32_t now);

  SessionTable& table();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace limpet::routing
