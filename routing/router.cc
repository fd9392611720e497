#include "routing/router.h"

#include <openssl/rand.h>

#include <stdexcept>

#include "routing/accountant.h"
#include "routing/chooser.h"
#include "routing/identifier.h"
#include "routing/seconds.h"
#include "routing/session_table.h"

namespace limpet::routing {
namespace {

uint64_t random_seed() {
  uint64_t seed = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed) != 1)
    throw std::runtime_error("no random bytes");
  return seed;
}

}  // namespace

struct Router::Parts {
  Parts(const conf::Pool& pool, const std::vector<std::string>& keys, const std::string& hash_secret)
      : identifier(pool, keys, hash_secret),
        table(pool.max_sessions, {whole_seconds(pool.idle_timeout), whole_seconds(pool.unreturned_timeout)}),
        chooser(pool, table, random_seed()),
        accountant(pool, identifier, table, random_seed()) {}

  const Identifier identifier;
  SessionTable table;
  Chooser chooser;
  Accountant accountant;
};

Router::Router(const conf::Pool& pool, const std::vector<std::string>& keys, const std::string& hash_secret)
    : parts_(std::make_unique<Parts>(pool, keys, hash_secret)) {}

Router::~Router() = default;

Identity Router::identify(const RequestView& request, const Fleet& fleet, uint32_t now) const {
  return parts_->identifier.identify(request, fleet, now);
}

Choice Router::choose(const Identity& identity, const Fleet& fleet, const Tried& tried, uint32_t now) {
  return parts_->chooser.choose(identity, fleet, tried, now);
}

Outcome Router::account(const Identity& identity, const Choice& choice, const Fleet& fleet,
                        const RequestView& request, const ResponseView& response, uint32_t now) {
  return parts_->accountant.account(identity, choice, fleet, request, response, now);
}

void Router::release(const Choice& choice) {
  if (choice.reserved) parts_->table.release(choice.slot);
}

void Router::sweep(uint32_t now) { parts_->table.sweep(now); }

Router::Counts Router::counts() const {
  const TokenCookie* const cookie = parts_->identifier.cookie();
  return {cookie ? cookie->unverified() : 0, parts_->accountant.guesses_missed()};
}

SessionTable& Router::table() { return parts_->table; }

}  // namespace limpet::routing
