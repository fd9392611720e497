#include "routing/chooser.h"

#include "routing/choice_number.h"
#include "routing/seconds.h"

namespace limpet::routing {
namespace {

using Kind = conf::AffinityKind;
using Room = SessionTable::Room;
using Begun = SessionTable::Begun;

// A pick whose last room a concurrent request took is repeated. Each time somebody else got on, so only a
// storm reaches this.
constexpr int kMostPicks = 64;

// The choice of the home that the session has in the table.
Choice at_home(Choice choice, const SessionTable::Found& session) {
  choice.reserved = false;
  choice.known = !session.ghost;
  choice.data_home = session.data_home;
  choice.ghost = session.ghost;
  choice.number = session.choice;
  choice.open_question = session.open_question;
  return choice;
}

// Nobody has answered it at its new home yet.
bool is_moving(const SessionTable::Found& session) {
  return session.data_home != kNoSlot && session.data_home != session.home;
}

}  // namespace

struct Chooser::Request {
  const Identity& identity;
  const Candidates candidates;
  const Now now;

  bool can_be_served_by(Slot home) const {
    const auto& backends = candidates.fleet.backends;
    return home < backends.size() && backends[home].serves_its_own() && !candidates.tried.contains(home);
  }
  Candidates free() const {
    Candidates free = candidates;
    free.free_only = true;
    return free;
  }
  // In the key's order, by which every balancer chooses.
  bool comes_before(Slot one, Slot other) const {
    const auto score = [this](Slot slot) {
      const auto& backends = candidates.fleet.backends;
      const bool is_there = slot < backends.size() && backends[slot].weight != 0;
      return is_there ? rendezvous_score(identity.key, backends[slot].id, backends[slot].weight) : 0.0;
    };
    return score(one) > score(other);
  }
  bool may_begin_at(Slot slot) const {
    return slot < candidates.fleet.backends.size() && candidates.usable(slot);
  }
  // The backend that knows the client by its connection, where it takes requests of no session; else kNoSlot.
  Slot known() const { return may_begin_at(candidates.tried.known) ? candidates.tried.known : kNoSlot; }
  bool may_wait_for(Slot home) const {
    const auto& backends = candidates.fleet.backends;
    return candidates.tried.patient && home < backends.size() && backends[home].state == BackendState::down &&
           !candidates.tried.contains(home);
  }
};

Chooser::Chooser(const conf::Pool& pool, Memory& memory, uint64_t seed)
    : failover_(pool.failover),
      failback_(pool.failback),
      storage_(pool.storage),
      idle_timeout_(whole_seconds(pool.idle_timeout)),
      memory_(memory),
      table_(memory.table),
      placement_(pool.placement, seed, pool.affinity.front() == Kind::session_id) {}

Choice Chooser::choose(const Identity& identity, const Fleet& fleet, const Tried& tried, Now now) {
  if (tried.count == Tried::kMost) return {};
  const Request request{identity, {fleet, tried, table_.homes(), *memory_.permits}, now};
  if (memory_.began.load(std::memory_order_relaxed) == 0)
    memory_.began.store(now.wall, std::memory_order_relaxed);
  if (identity.stateless) return take_turns(request);
  const bool begins_anew = identity.over != 0 && !identity.tracked;
  if (begins_anew && request.can_be_served_by(identity.token_home)) {
    if (tried.sheds) return {.reason = Reason::shed};
    return take_place(request, identity.token_home, Reason::placed);
  }
  if (!identity.has_key) return place_without_key(request);
  if (!identity.tracked) return choose_untracked(request);
  const auto visit = tried.count == 0 ? SessionTable::Visit::first : SessionTable::Visit::retry;
  const SessionTable::Found found = table_.find_and_touch(identity.key, now.steady, visit);
  if (found.home != kNoSlot) return go_home(request, heed_token(request, found));
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

// What a browser asks for first it asks for at once, and keeps one of the keys that the answers give it. So
// all of that goes to one backend.
Choice Chooser::place_without_key(const Request& request) {
  if (request.candidates.tried.sheds) return {.reason = Reason::shed};
  const uint64_t client = request.identity.client;
  if (client == 0 || request.known() != kNoSlot) return place(request, Reason::placed);
  FirstContacts& contacts = memory_.first_contacts;
  const Slot before = contacts.follow(client, request.now.steady);
  if (const Choice choice = follow(request, before)) return choice;
  const Choice own = place(request, Reason::placed);
  if (!own) return own;
  const Slot slot = contacts.begin(client, own.slot, before, request.now.steady);
  if (slot == own.slot) return own;
  const Choice choice = follow(request, slot);
  if (!choice) return own;
  table_.homes().release(own.slot);
  return choice;
}

// Where there is room for it; else nowhere. `slot` may be of an earlier fleet, or of one that is to come.
Choice Chooser::follow(const Request& request, Slot slot) {
  if (!request.may_begin_at(slot)) return {};
  const uint32_t limit = request.candidates.fleet.backends[slot].max_sessions;
  if (!table_.homes().reserve(slot, limit)) return {};
  return {.slot = slot, .reason = Reason::placed, .reserved = true};
}

// An address is a session from its first request on.
Choice Chooser::choose_unknown_ip(const Request& request) {
  if (request.candidates.tried.sheds) return {.reason = Reason::shed};
  const Choice choice = place_by_hash(request, Share::warm, Reason::hash);
  if (!choice) return choice;
  const SessionTable::Held held =
      table_.open(request.identity.key, choice.slot, request.now.steady, Room::reserved, Begun::by_request);
  return settle(request, choice, held);
}

Choice Chooser::choose_unknown_cookie(const Request& request) {
  if (has_idled_out(request) || is_unbound(request)) return place(request, Reason::placed);
  return restore(request, true);
}

// The session existed before: another process, or this one before it was restarted or pushed the session out,
// made the token. Its home may have left the pool for good; or it was out of service after that, so that what
// it still has is told by its answer.
Choice Chooser::restore(const Request& request, bool returned) {
  const Identity& identity = request.identity;
  const Slot home = identity.token_home == kNoSlot ? kGoneSlot : identity.token_home;
  const SessionTable::Held held =
      table_.restore(identity.key, home, request.now.steady, identity.token_choice, returned,
                     identity.token_unproven, identity.token_renewed);
  return stay_or_move(request, held, Reason::token);
}

// Another balancer may have moved the session, or moved it since. Where this one has sent it elsewhere and no
// answer has come yet, what counts is the home that has its data.
SessionTable::Found Chooser::heed_token(const Request& request, SessionTable::Found found) {
  const Identity& identity = request.identity;
  const Slot named = identity.token_home;
  if (named == kNoSlot || !identity.has_own_token()) return found;
  const bool moves = is_moving(found);
  const Slot home = moves ? found.data_home : found.home;
  const auto choice = static_cast<uint16_t>(found.choice - moves);
  const auto follow = [&](Slot to, uint16_t its_choice, bool doubtful) {
    const auto followed =
        table_.follow(identity.key, to, its_choice, doubtful, request.now.steady, identity.token_renewed);
    return followed.home == kNoSlot ? found : followed;
  };
  if (is_later(identity.token_choice, choice))
    return follow(named, identity.token_choice, identity.token_unproven);
  // Both chose at once. The first home of an id was nobody's choice: whoever shows the id to an application
  // that takes up any could have one named.
  const bool may_tie = identity.kind == Kind::cookie || choice != 0;
  if (!may_tie || identity.token_choice != choice || named == home) return found;
  const bool named_serves = request.can_be_served_by(named);
  const bool named_wins =
      named_serves == request.can_be_served_by(home) ? request.comes_before(named, home) : named_serves;
  if (named_wins) return follow(named, choice, identity.token_unproven);
  // Settled for good: the other one may see other backends serve, or other weights.
  if (!moves)
    return follow(home, static_cast<uint16_t>(choice + 1),
                  table_.binding(identity.key, request.now.steady).unproven);
  return found;
}

// Had the client been here since its token was sent, the table would know: the quarter of idle_timeout that a
// token lasts longer is for those of a process before this one.
bool Chooser::has_idled_out(const Request& request) const {
  const uint32_t renewed = request.identity.token_renewed;
  return elapsed(renewed, request.now.wall) > idle_timeout_ &&
         renewed >= memory_.began.load(std::memory_order_relaxed);
}

// A guess, and it opens nothing: only the application knows whether the id is one of its own. The room is for
// the session that the answer may open.
Choice Chooser::choose_unknown_id(const Request& request) {
  if (is_unbound(request)) return place(request, Reason::placed);
  if (request.identity.has_own_token() && !has_idled_out(request)) return restore(request, false);
  const Slot home = request.identity.token_home;
  if (!request.can_be_served_by(home)) return place_by_hash(request, Share::warm, Reason::hash);
  return take_place(request, home, Reason::token);
}

bool Chooser::is_unbound(const Request& request) const {
  return table_.is_unbound(request.identity.key, request.now.steady);
}

// The session that the answer may open is a new one, so a home that drains is for want of any other. An id of
// the application's, where another kind comes first, is somebody's session all the same.
Choice Chooser::choose_untracked(const Request& request) {
  if (request.identity.kind != Kind::cookie) {
    const bool is_id = request.identity.kind == Kind::session_id;
    if (request.candidates.tried.sheds && !is_id) return {.reason = Reason::shed};
    return place_by_hash(request, Share::warm, Reason::hash);
  }
  const Slot home = request.identity.token_home;
  if (!request.may_begin_at(home)) {
    const Choice elsewhere = place(request, Reason::placed);
    if (elsewhere || !request.can_be_served_by(home)) return elsewhere;
  }
  return take_place(request, home, Reason::token);
}

// At a backend that knows the client already, with room for the session that the answer may open.
Choice Chooser::take_place(const Request& request, Slot home, Reason reason) {
  const uint32_t limit = request.candidates.fleet.backends[home].max_sessions;
  return {.slot = home, .reason = reason, .reserved = table_.homes().reserve(home, limit)};
}

// After a session was begun at a choice with room reserved: there, or where a concurrent request had begun
// it.
Choice Chooser::settle(const Request& request, Choice choice, SessionTable::Held held) {
  if (held.added) return at_home(choice, held);
  table_.homes().release(choice.slot);
  return stay_or_move(request, held, Reason::bound);
}

// For a session that the table holds. Until another backend has answered it, a home that is back in service
// has its session back, whatever `failback` says.
Choice Chooser::go_home(const Request& request, SessionTable::Found found) {
  const bool may_turn_back = is_moving(found) && (found.open_question || found.ghost);
  if (may_turn_back && request.can_be_served_by(found.data_home)) {
    const SessionTable::Found back = table_.turn_back(request.identity.key, request.now.steady);
    if (back.home != kNoSlot) found = back;
  }
  if (failback_ == conf::Failback::go_home && found.home != found.first_home) {
    if (const Choice back = fail_back(request, found)) return back;
  }
  return stay_or_move(request, found, Reason::bound);
}

// Where its first home serves again; where that has no room, or a concurrent request was faster, nowhere.
Choice Chooser::fail_back(const Request& request, SessionTable::Found& found) {
  const Fleet& fleet = request.candidates.fleet;
  if (!request.may_begin_at(found.first_home)) return {};
  if (!table_.homes().reserve(found.first_home, fleet.backends[found.first_home].max_sessions)) return {};
  const SessionTable::Held held =
      table_.move(request.identity.key, found.home, found.first_home, request.now.steady);
  if (held.added) return at_home({.slot = held.home, .reason = Reason::failed_back}, held);
  table_.homes().release(found.first_home);
  // It had not arrived elsewhere yet and is back at once, or a concurrent request was faster.
  found = held;
  return {};
}

Choice Chooser::stay_or_move(const Request& request, SessionTable::Found found, Reason reason) {
  for (size_t moves = 0; moves <= Tried::kMost; ++moves) {
    const Slot home = found.home;
    if (request.can_be_served_by(home)) return at_home({.slot = home, .reason = reason}, found);
    if (request.may_wait_for(home)) return {.reason = Reason::away, .home = home};
    // There is no waiting for what has left the pool.
    if (failover_ == conf::Failover::refuse && home != kGoneSlot)
      return {.reason = Reason::refused, .home = home};
    const Choice next = refuge(request, found);
    if (!next) return next;
    const SessionTable::Held held = table_.move(request.identity.key, home, next.slot, request.now.steady);
    if (held.home == kNoSlot) return next;  // it ended just now
    if (held.added) return at_home(next, held);
    table_.homes().release(next.slot);
    // A concurrent request was faster: follow it. Or the session is back where its data is.
    found = held;
    reason = Reason::failed_over;
  }
  return {};
}

// Where a session goes whose home is gone: back to its data, if nobody else has answered it yet; to the
// backup of that, where there is one; else to the first in its key's order, as every balancer has it that
// sees the same backends.
Choice Chooser::refuge(const Request& request, SessionTable::Found found) {
  const Slot data_home = found.data_home != kNoSlot ? found.data_home : found.home;  // where it may be soon
  const Candidates& candidates = request.candidates;
  const auto& backends = candidates.fleet.backends;
  if (data_home != found.home && request.can_be_served_by(data_home)) {
    table_.homes().reserve(data_home, 0);
    return {.slot = data_home, .reason = Reason::failed_over, .reserved = true};
  }
  if (storage_ == conf::Storage::backup && data_home < backends.size()) {
    const Slot backup = backends[data_home].backup;
    if (request.may_begin_at(backup) && table_.homes().reserve(backup, backends[backup].max_sessions))
      return {.slot = backup, .reason = Reason::failed_over, .reserved = true};
  }
  return place_by_hash(request, Share::whole, Reason::failed_over);
}

Choice Chooser::place(const Request& request, Reason reason) {
  if (request.candidates.tried.sheds) return {.reason = Reason::shed};
  const Slot known = request.known();
  if (known != kNoSlot) return take_place(request, known, reason);
  return reserve(request, reason, [&] {
    const Slot free = placement_.pick(request.free(), request.identity.client);
    return free != kNoSlot ? free : Placement::least_crowded(request.candidates, true);
  });
}

// It is of no session, and so needs no room for one.
Choice Chooser::take_turns(const Request& request) {
  const Slot known = request.known();
  Slot slot = known != kNoSlot ? known : placement_.any(request.free());
  if (slot == kNoSlot) slot = Placement::least_crowded(request.candidates, false);
  if (slot == kNoSlot) return {.reason = Reason::no_backend};
  return {.slot = slot, .reason = Reason::stateless};
}

Choice Chooser::place_by_hash(const Request& request, Share share, Reason reason) {
  const Candidates& candidates = request.candidates;
  return reserve(request, reason, [&] {
    return rendezvous(request.identity.key, candidates.fleet, share,
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
    if (table_.homes().reserve(slot, fleet.backends[slot].max_sessions))
      return {.slot = slot, .reason = reason, .reserved = true};
  }
  for (size_t slot = 0; slot < fleet.backends.size(); ++slot) {
    if (request.candidates.usable(static_cast<Slot>(slot))) return {.reason = Reason::full};
  }
  return {.reason = Reason::no_backend};
}

}  // namespace limpet::routing
