#include "routing/token_cookie.h"

#include <algorithm>

#include "routing/affinity_key.h"
#include "routing/seconds.h"

namespace limpet::routing {
namespace {

// Cookies of the pool's name and of a token's length that are looked at. A client has one, or one for each
// path and domain that it was set under, and anybody in a domain can put others in front of it; each that
// does not open costs a decryption for every key.
constexpr int kMostCookies = 16;

}  // namespace

TokenCookie::TokenCookie(const conf::Pool& pool, const std::vector<std::string>& keys,
                         std::atomic<uint64_t>& unverified)
    : name_(pool.cookie_name()),
      sealer_(keys, pool.name),
      idle_timeout_(whole_seconds(pool.idle_timeout)),
      absolute_timeout_(whole_seconds(pool.cookie.absolute_timeout)),
      unverified_(unverified) {}

std::optional<TokenCookie::Found> TokenCookie::read(const RequestView& request, uint32_t now) const {
  std::optional<Found> found;
  int looked_at = 0;
  for_each_cookie(request.fields, name_, [&](std::string_view value) {
    const std::optional<Token> token = sealer_.open(value);
    if (!token) unverified_.fetch_add(1, std::memory_order_relaxed);
    if (token && (!found || age_of(*token, now) < found->age)) found = {*token, age_of(*token, now)};
    const bool is_good = found && found->age == Age::good;
    return is_good || (TokenSealer::may_be_token(value) && ++looked_at == kMostCookies);
  });
  return found;
}

bool TokenCookie::is_due(uint32_t renewed, uint32_t now) const {
  return elapsed(renewed, now) >= renewal_interval(idle_timeout_);
}

TokenCookie::Age TokenCookie::age_of(const Token& token, uint32_t now) const {
  if (elapsed(token.renewed, now) > token_life(idle_timeout_)) return Age::idle;
  const bool is_over = absolute_timeout_ != 0 && elapsed(token.issued, now) > absolute_timeout_;
  return is_over ? Age::over : Age::good;
}

}  // namespace limpet::routing
