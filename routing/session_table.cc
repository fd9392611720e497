#include "routing/session_table.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "routing/choice_number.h"
#include "routing/relaxed.h"
#include "routing/seconds.h"
#include "routing/session_shard.h"

namespace limpet::routing {
namespace {

void note_pause(Pauses& pauses, Entry& session, uint32_t pause) {
  if (pause < kShortestPause) return;
  const uint8_t code = pause_code(pause);
  // One that polls tells nothing of how people pause.
  if (session.steady < kSteadyPolling) pauses.note(code);
  const bool steady = session.pause != 0 && are_alike(pause, pause_seconds(session.pause));
  session.steady = steady ? static_cast<uint8_t>(std::min(session.steady + 1, 7) & 7) : 0;
  session.pause = code;
}

}  // namespace

SessionTable::SessionTable(uint64_t max_sessions, Timeouts timeouts)
    : max_entries_(std::max<uint64_t>(max_sessions, 1)),
      idle_timeout_(timeouts.idle),
      unreturned_timeout_(timeouts.unreturned),
      renewal_grace_(timeouts.renewal_grace),
      dormant_timeout_(timeouts.dormant) {
  shards_[0] = std::make_unique<Shard>();
  for (auto& place : directory_) place.store(shards_[0].get(), kRelaxed);
  regroup();
  homes_.set_in_service(kGoneSlot, false);
}

SessionTable::~SessionTable() = default;

void SessionTable::set_limits(uint64_t max_sessions, Timeouts timeouts) {
  max_entries_.store(std::max<uint64_t>(max_sessions, 1), kRelaxed);
  idle_timeout_.store(timeouts.idle, kRelaxed);
  unreturned_timeout_.store(timeouts.unreturned, kRelaxed);
  renewal_grace_.store(timeouts.renewal_grace, kRelaxed);
  dormant_timeout_.store(timeouts.dormant, kRelaxed);
  regroup();
}

bool SessionTable::is_idle(const Entry& session, uint32_t now) const {
  const auto& timeout = session.returned ? idle_timeout_ : unreturned_timeout_;
  return elapsed(session.last_seen, now) > timeout.load(kRelaxed);
}

bool SessionTable::is_stale(const Entry& alias, uint32_t now) const {
  const uint64_t lasts =
      alias.is_mark() ? token_life(idle_timeout_.load(kRelaxed)) + 1 : renewal_grace_.load(kRelaxed);
  return elapsed(alias.last_seen, now) > lasts;
}

bool SessionTable::is_over(const Entry& ghost, uint32_t now) const {
  const uint32_t lasts = dormant_timeout_.load(kRelaxed), idle = idle_timeout_.load(kRelaxed);
  return elapsed(ghost.last_seen, now) > (ghost.unproven ? std::max(lasts, idle) : lasts);
}

SessionTable::Found SessionTable::found(const Entry& session) const {
  return {session.home,
          session.data_home(),
          session.origin.first_home,
          session.choice,
          session.is_awake() && (session.doubtful || homes_.is_at_risk(session.booked_at(), session.spell)),
          session.is_ghost()};
}

// --- Finding ---

SessionView SessionTable::find(uint64_t key, uint32_t now) {
  return with_session(key, now,
                      [](Shard&, Entry* session) { return session ? view(*session) : SessionView{}; });
}

SessionTable::Found SessionTable::find_and_touch(uint64_t key, uint32_t now, Visit visit) {
  return with_entry(key, now, [&](Shard& shard, Entry* session) -> Found {
    if (!session) return {};
    if (session->dormant) wake(shard, *session);
    if (visit == Visit::first && session->is_awake()) {
      note_pause(pauses_[session->key % pauses_.size()], *session, elapsed(session->last_seen, now));
      if (!session->returned) {
        session->returned = true;
        ++shard.returned;
        homes_.came_back(session->booked_at(), session->spell);
      }
    }
    session->last_seen = now;
    return found(*session);
  });
}

SessionTable::Binding SessionTable::binding(uint64_t key, uint32_t now) {
  return with_entry(key, now, [](Shard&, Entry* entry) -> Binding {
    if (!entry || entry->dormant) return {};
    return {entry->booked_at(), entry->booked_choice(), entry->unproven || entry->doubtful};
  });
}

bool SessionTable::knows(uint64_t key, uint32_t now) {
  return with_entry(key, now, [](Shard&, Entry* entry) { return entry != nullptr; });
}

// --- Beginning ---

SessionTable::Held SessionTable::open(uint64_t key, Slot home, uint32_t now, Room room, Begun begun,
                                      uint16_t choice) {
  return begin(
      key, home, now,
      {.how = Event::opened, .room = room, .unanswered = begun == Begun::by_request, .choice = choice});
}

SessionTable::Held SessionTable::restore(uint64_t key, Slot home, uint32_t now, uint16_t choice,
                                         bool returned, bool doubtful, uint32_t answered) {
  return begin(key, home, now,
               {.how = Event::restored,
                .room = Room::none,
                .returned = returned,
                .choice = choice,
                .doubtful = doubtful,
                .at_risk = homes_.was_shaken(home, answered)});
}

SessionTable::Held SessionTable::begin(uint64_t key, Slot home, uint32_t now, const Beginning& beginning) {
  const Locked locked = lock(key);
  Shard& shard = locked.shard;
  uint16_t choice = beginning.choice;
  if (Entry* known = shard.map.find(key)) {
    if (known->is_awake() && !is_idle(*known, now)) {
      known->last_seen = now;
      return {found(*known), false};
    }
    if (known->kind == Entry::Kind::session && is_later(known->choice, choice)) choice = known->choice;
    make_way(shard, known);
  }
  make_room(shard, key, now);
  Entry session;
  session.kind = Entry::Kind::session;
  session.key = key;
  session.origin = {.first_seen = now, .first_home = home, .leaving = kNoSlot};
  session.last_seen = now;
  session.home = home;
  session.choice = choice;
  session.doubtful = beginning.doubtful;
  session.returned = beginning.returned;
  session.unanswered = beginning.unanswered;
  const bool has_room = beginning.room == Room::reserved;
  session.spell = beginning.at_risk ? homes_.add_at_risk(home, session.returned, has_room)
                                    : homes_.add(home, session.returned, has_room);
  shard.map.insert(session);
  ++shard.sessions;
  session.returned ? void(++shard.returned) : shard.recent.note(key);
  count(shard, session, beginning.how);
  return {found(session), true};
}

// --- Living on ---

SessionTable::Held SessionTable::move(uint64_t key, Slot from, Slot to, uint32_t now) {
  return with_entry(key, now, [&](Shard& shard, Entry* session) -> Held {
    if (!session || session->dormant) return {};
    if (session->home != from) return {found(*session), false};
    const Slot leaving = session->origin.leaving;
    if (leaving != kNoSlot) {
      if (session->is_awake()) homes_.release(from);  // it never arrived there
      if (to == leaving) {
        session->turn_back();
        return {found(*session), false};
      }
    } else {
      ++session->choice;
      if (session->unanswered) {
        arrive(shard, *session, from, to, Event::reassigned);
      } else {
        session->origin.leaving = from;
      }
    }
    session->home = to;
    session->unanswered = true;
    if (session->unproven) homes_.release(to);  // a ghost takes no place
    return {found(*session), true};
  });
}

SessionTable::Found SessionTable::turn_back(uint64_t key, uint32_t now) {
  return with_entry(key, now, [&](Shard&, Entry* session) -> Found {
    if (!session || session->dormant) return {};
    if (session->origin.leaving != kNoSlot) {
      if (session->is_awake()) homes_.release(session->home);  // it never arrived there
      session->turn_back();
    }
    return found(*session);
  });
}

SessionTable::Held SessionTable::rehome(uint64_t key, Slot to, uint32_t now) {
  return with_session(key, now, [&](Shard& shard, Entry* session) -> Held {
    if (!session) return {};
    session->origin.first_home = to;
    const Slot left = session->booked_at();
    const Slot home = std::exchange(session->home, to);
    session->origin.leaving = kNoSlot;
    ++session->choice;
    if (left != home && home != to) homes_.release(home);  // it never arrived there
    if (left == to) {
      if (home != to) session->unanswered = false;
      return {found(*session), false};
    }
    session->unanswered = true;
    arrive(shard, *session, left, to, Event::moved);
    return {found(*session), home != to};
  });
}

SessionTable::Found SessionTable::follow(uint64_t key, Slot to, uint16_t choice, bool doubtful, uint32_t now,
                                         uint32_t answered) {
  return with_entry(key, now, [&](Shard& shard, Entry* session) -> Found {
    if (!session || session->dormant) return {};
    const Slot left = session->booked_at();
    if (session->is_awake() && left != session->home)
      homes_.release(session->home);  // it never arrived there
    session->home = session->origin.first_home = to;
    session->origin.leaving = kNoSlot;
    session->unanswered = false;
    session->choice = choice;
    if (session->is_awake()) {
      session->doubtful = doubtful;
      if (left != to) {
        homes_.reserve(to, 0);
        arrive(shard, *session, left, to, Event::reassigned, homes_.was_shaken(to, answered));
      }
    }
    return found(*session);
  });
}

// Takes the session from the books of the home that it left into those of another, where its place is
// reserved.
void SessionTable::arrive(Shard& shard, Entry& session, Slot left, Slot at, Event how, bool at_risk) {
  shard.books.count(how, session.returned);
  homes_.count(left, how, session.returned);
  const bool fails_back = fails_back_.load(kRelaxed);
  homes_.remove(left, session.returned, session.spell, how, fails_back && at == session.origin.first_home);
  if (!fails_back) session.origin.first_home = at;
  session.spell = homes_.arrive(at, session.returned, how != Event::lost, at_risk);
}

bool SessionTable::renew(uint64_t from, uint64_t to, Slot home, uint32_t now) {
  for (;;) {
    Shard* const old_shard = place_of(from).load(std::memory_order_acquire);
    Shard* const new_shard = place_of(to).load(std::memory_order_acquire);
    const auto [first, second] = std::minmax({old_shard, new_shard});
    const std::lock_guard lock_first(first->mutex);
    std::optional<std::lock_guard<std::mutex>> lock_second;
    if (second != first) lock_second.emplace(second->mutex);
    if (place_of(from).load(kRelaxed) == old_shard && place_of(to).load(kRelaxed) == new_shard)
      return renew(*old_shard, *new_shard, from, to, home, now);
  }
}

bool SessionTable::renew(Shard& old_shard, Shard& new_shard, uint64_t from, uint64_t to, Slot home,
                         uint32_t now) {
  Entry* known = new_shard.map.find(to);
  if (known && known->is_awake() && !is_idle(*known, now)) return false;
  Entry* old = old_shard.map.find(from);
  if (!old || !old->is_awake() || old->home != home || old->origin.leaving != kNoSlot || is_idle(*old, now))
    return false;

  Entry session = *old;
  session.key = to;
  session.last_seen = now;
  if (known) {
    make_way(new_shard, known);
    old = old_shard.map.find(from);  // what was erased may have shifted it
  }
  if (claim_entry()) {
    old->kind = Entry::Kind::alias;
    old->target = to;
    old->last_seen = now;
    old_shard.recent.note(from);
  } else {
    old_shard.map.erase(old);
  }
  new_shard.map.insert(session);
  --old_shard.sessions;
  ++new_shard.sessions;
  if (session.returned) {
    --old_shard.returned;
    ++new_shard.returned;
  }
  --old_shard.moved_into_here;
  ++new_shard.moved_into_here;
  count(new_shard, session, Event::renewed);
  return true;
}

// --- Ending ---

void SessionTable::log_out(uint64_t key, Slot slot, uint32_t now) {
  with_entry(key, now, [&](Shard& shard, Entry* session) {
    if (!session || slot != session->data_home()) return;
    finish(shard, session, Event::logged_out);
  });
}

bool SessionTable::unbind(uint64_t key, uint32_t now) {
  return with_entry(key, now, [&](Shard& shard, Entry* session) {
    if (!session) return false;
    Entry mark;
    mark.kind = Entry::Kind::alias;
    mark.key = mark.target = session->key;
    mark.last_seen = now;
    finish(shard, session, Event::unbound);
    if (claim_entry()) {
      shard.map.insert(mark);
      ++shard.marks;
    }
    return true;
  });
}

bool SessionTable::is_unbound(uint64_t key, uint32_t now) const {
  const Locked locked = lock(key);
  const Entry* const entry = locked.shard.map.find(key);
  return entry && entry->is_mark() && !is_stale(*entry, now);
}

void SessionTable::expire(uint64_t key, uint32_t now) {
  with_session(key, now, [&](Shard& shard, Entry* session) {
    if (session) make_way(shard, session);
  });
}

// It is dormant afterwards, or gone.
void SessionTable::expire(Shard& shard, Entry* session) {
  const Slot home = session->booked_at();
  const uint16_t choice = session->booked_choice();
  leave(shard, *session, ending(*session));
  if (home == kGoneSlot || dormant_timeout_.load(kRelaxed) == 0) return drop(shard, session);
  session->choice = choice;
  session->home = home;
  session->origin.leaving = kNoSlot;
  session->unanswered = false;
  session->dormant = true;
  shard.recent.note(session->key);
}

void SessionTable::make_way(Shard& shard, Entry* entry) {
  entry->is_awake() ? finish(shard, entry, ending(*entry)) : drop(shard, entry);
}

// Of a session whose time is over.
Event SessionTable::ending(const Entry& session) const {
  return homes_.in_service(session.booked_at()) ? Event::expired : Event::abandoned;
}

void SessionTable::finish(Shard& shard, Entry* session, Event how) {
  if (session->is_awake()) leave(shard, *session, how);
  drop(shard, session);
}

// The books.
void SessionTable::leave(Shard& shard, const Entry& session, Event how) {
  count(shard, session, how);
  homes_.remove(session.booked_at(), session.returned, session.spell, how);
  if (session.origin.leaving != kNoSlot) homes_.release(session.home);
  --shard.sessions;
  if (session.returned) --shard.returned;
}

// The client of a dormant one is back. Where its home is away, whether it is still a session is not known.
void SessionTable::wake(Shard& shard, Entry& session) {
  session.dormant = false;
  session.doubtful = !homes_.in_service(session.home);
  session.returned = true;
  ++shard.sessions;
  ++shard.returned;
  session.spell = homes_.rejoin(session.home, true, session.spell);
  count(shard, session, Event::restored);
}

void SessionTable::count(Shard& shard, const Entry& session, Event event) {
  shard.books.count(event, session.returned);
  homes_.count(session.booked_at(), event, session.returned);
}

// What is in no books, or not any more.
void SessionTable::drop(Shard& shard, Entry* entry) {
  erase(shard, entry);
  entries_.fetch_sub(1, kRelaxed);
}

void SessionTable::erase(Shard& shard, Entry* entry) {
  if (entry->is_mark()) --shard.marks;
  shard.map.erase(entry);
}

}  // namespace limpet::routing
