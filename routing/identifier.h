// Recognises a request's client: which of the pool's kinds of affinity has a key for it, and the key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"
#include "routing/decision.h"
#include "routing/fleet.h"
#include "routing/hash.h"
#include "routing/request_view.h"
#include "routing/seconds.h"
#include "routing/session_table.h"
#include "routing/token_cookie.h"

namespace limpet::routing {

// Thread-safe.
class Identifier {
 public:
  // Counts tokens that do not verify in `unverified`, which outlives it.
  Identifier(const conf::Pool& pool, const std::vector<std::string>& keys, const std::string& hash_secret,
             std::atomic<uint64_t>& unverified);

  // Of several ids in one place the first that `table` knows counts, else the first.
  Identity identify(const RequestView& request, const Fleet& fleet, SessionTable& table, Now now) const;

  // The key of a session as an operator names it: an address, an id, or the token of the pool's cookie. None
  // where that cannot be one, or the token does not verify.
  std::optional<uint64_t> key_of(std::string_view session) const;

  uint64_t key_of_number(uint64_t session_number) const;
  uint64_t key_of_id(std::string_view session_id) const;

  uint64_t key_of_one_client(const conf::IpAddress& client) const;  // whatever the masks of the affinity

  const TokenCookie* cookie() const { return cookie_ ? &*cookie_ : nullptr; }  // nullptr: not in the affinity

 private:
  bool is_stateless(std::string_view target) const;
  uint64_t key_of_client(const conf::IpAddress& client) const;
  std::optional<uint64_t> key_of_ids(const RequestView& request, SessionTable* table, uint32_t token_id,
                                     Now now) const;
  void read_token(const RequestView& request, const Fleet& fleet, SessionTable& table, Now now,
                  Identity& identity) const;

  const std::vector<conf::AffinityKind> affinity_;
  const conf::IpAffinity ip_;
  const bool places_by_client_;
  const conf::SessionIdAffinity session_id_;
  std::vector<std::string> stateless_paths_;  // as prefixes
  const KeyedHash hash_;
  std::optional<TokenCookie> cookie_;
};

}  // namespace limpet::routing
