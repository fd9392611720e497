// What routing finds out and decides about one request: values that go from identify() through choose() to
// account().
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "conf/settings.h"
#include "routing/fleet.h"
#include "routing/hash.h"

namespace limpet::routing {

// Why a request went where it went; the access log and the status endpoint say it in these words.
enum class Reason : uint8_t {
  bound,        // the session table knew its home
  token,        // a valid token named its home
  hash,         // a key that nothing was bound to: weighted rendezvous
  placed,       // no key: the pool's placement
  failed_over,  // its home could not serve it, so it moved
  failed_back,  // its first home is back, so it moved there again
  stateless,    // its path needs no home: any backend serves it
  // No backend:
  away,        // its home is down, and the request may wait for it
  refused,     // its home cannot serve it and failover = "refuse"
  full,        // every usable backend is at max_sessions
  shed,        // it would begin a session, and none is begun now
  no_backend,  // nothing usable is left to try
};
const char* text(Reason);

// What a request says about its client.
struct Identity {
  conf::AffinityKind kind{};  // of the key that was found; the pool's first kind when there is none
  bool has_key = false;
  bool stateless = false;  // its path needs no home: it is of no session, though its answer may begin one
  bool tracked = false;    // the key is of the pool's first kind, the one whose sessions are in the table
  uint64_t key = 0;        // keyed hash; the table's key
  // The client's address, hashed, where there is no key or placement goes by it; 0: it has none.
  uint64_t client = 0;
  Slot token_home = kNoSlot;  // cookie: the backend that a valid token names, when the fleet still has it
  uint64_t over = 0;  // cookie: the key of a session past absolute_timeout, as its token tells; 0: none
  uint32_t token_issued = 0;    // cookie: seconds of Unix time; 0: no valid token
  uint32_t token_renewed = 0;   // cookie: when it was last sent
  uint64_t token_number = 0;    // cookie: the session's random number
  uint32_t token_id = 0;        // cookie: short_hash of the id that it was given along with; 0: none
  uint16_t token_choice = 0;    // cookie: which of the session's homes it names (choice_number.h)
  bool token_unproven = false;  // cookie: nothing shows that this home has anything of it

  // The token was given to the very session that the key is of.
  bool has_own_token() const {
    if (kind == conf::AffinityKind::cookie) return token_issued != 0;
    return token_id != 0 && token_id == short_hash(key);
  }
};

struct Choice {
  Slot slot = kNoSlot;
  Reason reason = Reason::no_backend;
  bool reserved = false;       // room for a session is held on `slot` until account() or release()
  bool known = false;          // the session is in the table, at home on `slot`
  bool ghost = false;          // the same, but it is in nobody's books
  bool open_question = false;  // known: whether its data is there, which the answer tells
  Slot data_home = kNoSlot;    // where the session's data was, as far as the table knew
  uint16_t number = 0;         // known, or a ghost: which of its homes this is (choice_number.h)
  Slot home = kNoSlot;         // away: the backend to wait for, or to add to the tried ones
  explicit operator bool() const { return slot != kNoSlot; }
};

// What the pool adds to an answer.
struct Outcome {
  std::optional<std::string> token;  // to be set as the pool's cookie
};

}  // namespace limpet::routing
