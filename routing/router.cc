#include "routing/router.h"

#include "routing/accountant.h"
#include "routing/affinity_key.h"
#include "routing/chooser.h"
#include "routing/hash.h"
#include "routing/identifier.h"
#include "routing/memory.h"
#include "routing/random.h"
#include "routing/rates.h"
#include "routing/seconds.h"

namespace limpet::routing {
namespace {

SessionTable::Timeouts timeouts_of(const conf::Pool& pool) {
  return {.idle = whole_seconds(pool.idle_timeout),
          .unreturned = whole_seconds(pool.unreturned_timeout),
          .renewal_grace = whole_seconds(pool.renewal_grace),
          .dormant = whole_seconds(pool.dormant_timeout)};
}

}  // namespace

struct Router::Parts {
  Parts(const conf::Pool& pool, const std::vector<std::string>& keys, const std::string& hash_secret,
        std::shared_ptr<Memory> its_memory, uint64_t seed)
      : memory(std::move(its_memory)),
        identifier(pool, keys, hash_secret, memory->unverified_tokens),
        chooser(pool, *memory, seed),
        accountant(pool, identifier, *memory, mixed(seed)),
        rate(pool.rate) {
    if (rate.requests == 0) {
      memory->rates.reset();
    } else if (memory->rates == nullptr) {
      memory->rates = std::make_shared<Rates>();
    }
    rates = memory->rates;
  }

  const std::shared_ptr<Memory> memory;
  const Identifier identifier;
  Chooser chooser;
  Accountant accountant;
  const conf::RequestRate rate;
  std::shared_ptr<Rates> rates;  // nullptr: there is no rate
};

std::shared_ptr<Memory> Router::new_memory(const conf::Pool& pool) {
  return std::make_shared<Memory>(pool.max_sessions, timeouts_of(pool));
}

Router::Router(const conf::Pool& pool, const std::vector<std::string>& keys, const std::string& hash_secret,
               std::shared_ptr<Memory> memory, std::optional<uint64_t> seed)
    : parts_(
          std::make_unique<Parts>(pool, keys, hash_secret, std::move(memory), seed ? *seed : random_seed())) {
  table().set_limits(pool.max_sessions, timeouts_of(pool));
  table().set_failback(pool.failback == conf::Failback::go_home);
}

Router::~Router() = default;

Identity Router::identify(const RequestView& request, const Fleet& fleet, Now now) const {
  return parts_->identifier.identify(request, fleet, parts_->memory->table, now);
}

// An id counts where it is a session's: a client may make up as many as it likes. So may it addresses of its
// network, and those are a client's whatever `affinity` makes of them.
uint64_t Router::take_turn(const Identity& identity, const conf::IpAddress& client, Now now,
                           uint64_t now_us) {
  if (parts_->rates == nullptr) return 0;
  const bool is_id = identity.kind == conf::AffinityKind::session_id;
  const bool by_session =
      parts_->rate.by == conf::RateBy::session && identity.has_key &&
      identity.kind != conf::AffinityKind::ip &&
      (!is_id || identity.has_own_token() || (identity.tracked && table().knows(identity.key, now.steady)));
  if (!by_session && !has_address(client)) return 0;
  const uint64_t key = by_session ? identity.key : parts_->identifier.key_of_one_client(client);
  return parts_->rates->take(key, now_us, Rate::of(parts_->rate.requests, parts_->rate.at_once()));
}

Choice Router::choose(const Identity& identity, const Fleet& fleet, const Tried& tried, Now now) {
  return parts_->chooser.choose(identity, fleet, tried, now);
}

Outcome Router::account(const Identity& identity, const Choice& choice, const Fleet& fleet,
                        const RequestView& request, const ResponseView& response, Now now) {
  return parts_->accountant.account(identity, choice, fleet, request, response, now);
}

void Router::touch(const Identity& identity, Now now) {
  if (identity.tracked) table().find_and_touch(identity.key, now.steady, SessionTable::Visit::retry);
}

void Router::release(const Choice& choice) {
  if (choice.reserved) table().homes().release(choice.slot);
}

std::optional<SessionView> Router::find(std::string_view session, Now now) {
  const auto key = parts_->identifier.key_of(session);
  if (!key) return std::nullopt;
  return table().find(*key, now.steady);
}

bool Router::unbind(std::string_view session, Now now) {
  const auto key = parts_->identifier.key_of(session);
  return key && table().unbind(*key, now.steady);
}

bool Router::pin(std::string_view session, Slot home, Now now) {
  const auto key = parts_->identifier.key_of(session);
  if (!key) return false;
  table().homes().reserve(home, 0);
  SessionTable::Held held;
  do {  // again where a concurrent request had it begin elsewhere
    held = table().rehome(*key, home, now.steady);
    if (held.home == kNoSlot)
      held =
          table().open(*key, home, now.steady, SessionTable::Room::reserved, SessionTable::Begun::by_request);
  } while (held.home != home);
  if (!held.added) table().homes().release(home);
  return true;
}

void Router::sweep(Now now) { table().sweep(now.steady); }

const std::shared_ptr<Memory>& Router::memory() const { return parts_->memory; }
SessionTable& Router::table() { return parts_->memory->table; }

}  // namespace limpet::routing
