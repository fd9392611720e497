#include "routing/token_cookie.h"

#include <algorithm>

#include "routing/affinity_key.h"
#include "routing/choice_number.h"
#include "routing/seconds.h"

namespace limpet::routing {
namespace {

// Cookies of the pool's name and of a token's length that are looked at. A client has one, or one for each
// path and domain that it was set under, and anybody in a domain can put others in front of it; each that
// does not open costs a decryption for every key.
constexpr int kMostCookies = 16;

// Or of a later choice of the same session, where a client keeps an old one beside it.
bool is_better(const TokenCookie::Found& one, const TokenCookie::Found& before) {
  if (one.age != before.age) return one.age < before.age;
  const Token &token = one.token, &other = before.token;
  const bool is_same = token.number == other.number && token.id == other.id;
  return is_same && is_later(token.choice, other.choice);
}

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
    if (token && (!found || is_better({*token, age_of(*token, now)}, *found)))
      found = {*token, age_of(*token, now)};
    return TokenSealer::may_be_token(value) && ++looked_at == kMostCookies;
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
