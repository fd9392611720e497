// The pool's own cookie as a request carries it: finds the token that counts, and knows how long one does.
//
// A token says when it was last sent, not when its client was last seen: it is sent again only once a quarter
// of idle_timeout has passed. So it is read for idle_timeout and that quarter; whether the last quarter
// counts is the table's to say, which ends a session after idle_timeout to the second (Chooser). Within
// idle_timeout a token always leads to its home, though the session idled out unreturned: where the
// application has kept it, nobody is logged out, and where it has not, nothing is lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/settings.h"
#include "routing/request_view.h"
#include "routing/token.h"

namespace limpet::routing {

// Thread-safe.
class TokenCookie {
 public:
  // Counts cookies that do not open in `unverified`, which outlives it. Throws std::invalid_argument where
  // TokenSealer does.
  TokenCookie(const conf::Pool& pool, const std::vector<std::string>& keys,
              std::atomic<uint64_t>& unverified);

  // The first token of this pool that opens and is the youngest of age; of one session's, the one of its last
  // choice. `now`: Unix seconds.
  enum class Age : uint8_t {
    good,
    over,  // it has outlived absolute_timeout
    idle,  // it has outlived idle_timeout, as far as it tells
  };
  struct Found {
    Token token;
    Age age;
  };
  std::optional<Found> read(const RequestView& request, uint32_t now) const;

  // A token that somebody shows, whatever its age.
  std::optional<Token> open(std::string_view value) const { return sealer_.open(value); }
  std::optional<std::string> seal(const Token& token) const { return sealer_.seal(token); }
  bool is_due(uint32_t renewed, uint32_t now) const;  // for sending again

 private:
  Age age_of(const Token& token, uint32_t now) const;

  const std::string name_;
  const TokenSealer sealer_;
  const uint32_t idle_timeout_, absolute_timeout_;  // seconds; absolute 0: none
  std::atomic<uint64_t>& unverified_;
};

}  // namespace limpet::routing
