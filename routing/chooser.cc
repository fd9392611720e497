#include "routing/chooser.h"

#include "routing/rendezvous.h"
#include "routing/seconds.h"

namespace limpet::routing {
namespace {

using Kind = conf::AffinityKind;
using Room = SessionTable::Room;

// A pick whose last room a concurrent request took is repeated. Each time somebody else got on, so only a
// storm reaches this.
constexpr int kMostPicks = 64;

}  // namespace

struct Chooser::Request {
  const Identity& identity;
  const Candidates candidates;
  const uint32_t now;

  bool can_be_served_by(Slot home) const {
    const auto& backends = candidates.fleet.backends;
    return home < backends.size() && backends[home].serves_its_own() && !candidates.tried.contains(home);
  }
};

Chooser::Chooser(const conf::Pool& pool, SessionTable& table, uint64_t seed)
    : failover_(pool.failover),
      idle_timeout_(whole_seconds(pool.idle_timeout)),
      table_(table),
      placement_(pool.placement, seed) {}

Choice Chooser::choose(const Identity& identity, const Fleet& fleet, const Tried& tried, uint32_t now) {
  const Request request{identity, {fleet, tried, table_}, now};
  if (began_.load(std::memory_order_relaxed) == 0) began_.store(now, std::memory_order_relaxed);
  if (!identity.has_key) return place(request, Reason::placed);
  if (!identity.tracked) return choose_untracked(request);
  const auto visit = tried.count == 0 ? SessionTable::Visit::first : SessionTable::Visit::retry;
  const Slot home = table_.find_and_touch(identity.key, now, visit);
  if (home != kNoSlot) return stay_or_move(request, home, Reason::bound);
  switch (identity.kind) {
    case Kind::ip:
      return choose_unknown_ip(request);
    case Kind::cookie:
      return choose_unknown_cookie(request);
    case Kind::session_id:
      return choose_unknown_id(request);
  }
  return {};
}

// An address is a session from its first request on.
Choice Chooser::choose_unknown_ip(const Request& request) {
  const Choice choice = place_by_hash(request, Reason::hash);
  if (!choice) return choice;
  const SessionTable::Held held = table_.open(request.identity.key, choice.slot, request.now, Room::reserved);
  return settle(request, choice, held);
}

// The session existed before: another process, or this one before it was restarted or pushed the session out,
// made the token.
Choice Chooser::choose_unknown_cookie(const Request& request) {
  const uint64_t key = request.identity.key;
  if (has_idled_out(request)) return place(request, Reason::placed);
  if (request.identity.token_home != kNoSlot) {
    const SessionTable::Held held = table_.restore(key, request.identity.token_home, request.now, Room::none);
    return stay_or_move(request, held.home, Reason::token);
  }
  // Its home has left the pool for good, so there is nowhere to wait for.
  const Choice choice = place(request, Reason::failed_over);
  if (!choice) return choice;
  const SessionTable::Held held = table_.restore(key, choice.slot, request.now, Room::reserved);
  return settle(request, choice, held);
}

// Had the client been here since its token was sent, the table would know: the quarter of idle_timeout that a
// token lasts longer is for those of a process before this one.
bool Chooser::has_idled_out(const Request& request) const {
  const uint32_t renewed = request.identity.token_renewed;
  return elapsed(renewed, request.now) > idle_timeout_ && renewed >= began_.load(std::memory_order_relaxed);
}

// A guess, and it opens nothing: only the application knows whether the id is one of its own. The room is for
// the session that the answer may open.
Choice Chooser::choose_unknown_id(const Request& request) {
  const Slot home = request.identity.token_home;
  if (!request.can_be_served_by(home)) return place_by_hash(request, Reason::hash);
  return {home, Reason::token, table_.reserve(home, request.candidates.fleet.backends[home].max_sessions)};
}

Choice Chooser::choose_untracked(const Request& request) {
  if (request.identity.kind != Kind::cookie) return place_by_hash(request, Reason::hash);
  const Slot home = request.identity.token_home;
  if (!request.can_be_served_by(home)) return place(request, Reason::placed);
  return {home, Reason::token, table_.reserve(home, request.candidates.fleet.backends[home].max_sessions)};
}

// After a session was begun at a choice with room reserved: there, or where a concurrent request had begun
// it.
Choice Chooser::settle(const Request& request, Choice choice, SessionTable::Held held) {
  choice.reserved = false;
  if (held.added) return choice;
  table_.release(choice.slot);
  return stay_or_move(request, held.home, Reason::bound);
}

// For a session that the table holds at `home`.
Choice Chooser::stay_or_move(const Request& request, Slot home, Reason reason) {
  for (size_t moves = 0; moves <= Tried::kMost; ++moves) {
    if (request.can_be_served_by(home)) return {home, reason};
    if (failover_ == conf::Failover::refuse) return {kNoSlot, Reason::refused};
    reason = Reason::failed_over;
    // Addresses and ids go where every balancer sends them; a token tells the others where its session went.
    Choice next =
        request.identity.kind == Kind::cookie ? place(request, reason) : place_by_hash(request, reason);
    if (!next) return next;
    const SessionTable::Held held = table_.move(request.identity.key, home, next.slot, request.now);
    if (held.home == kNoSlot) return next;  // it ended just now
    if (held.added) {
      next.reserved = false;
      return next;
    }
    table_.release(next.slot);
    home = held.home;  // a concurrent request was faster: follow it
  }
  return {};
}

Choice Chooser::place(const Request& request, Reason reason) {
  return reserve(request, reason,
                 [&] { return placement_.pick(request.candidates, request.identity.client); });
}

Choice Chooser::place_by_hash(const Request& request, Reason reason) {
  const Candidates& candidates = request.candidates;
  return reserve(request, reason, [&] {
    return rendezvous(request.identity.key, candidates.fleet,
                      [&](Slot slot) { return candidates.admits(slot); });
  });
}

// Picks until there is room at what was picked.
template <class Pick>
Choice Chooser::reserve(const Request& request, Reason reason, Pick&& pick) {
  const Fleet& fleet = request.candidates.fleet;
  for (int picks = 0; picks < kMostPicks; ++picks) {
    const Slot slot = pick();
    if (slot == kNoSlot) break;
    if (table_.reserve(slot, fleet.backends[slot].max_sessions)) return {slot, reason, true};
  }
  for (size_t slot = 0; slot < fleet.backends.size(); ++slot) {
    if (request.candidates.usable(static_cast<Slot>(slot))) return {kNoSlot, Reason::full};
  }
  return {kNoSlot, Reason::no_backend};
}

}  // namespace limpet::routing
