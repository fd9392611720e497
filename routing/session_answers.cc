// What a backend's answer tells of a session: whether its data is there, came along, or is lost.
#include "routing/cost.h"
#include "routing/session_shard.h"

namespace limpet::routing {

void SessionTable::answered(uint64_t key, Slot slot, Slot from, uint32_t now, Word word, Asked asked,
                            const Cost& cost) {
  with_entry(key, now, [&](Shard& shard, Entry* session) {
    if (!session || session->dormant) return;
    if (session->unproven) return answered_unproven(shard, session, slot, from, word);
    const Slot data_home = session->data_home();
    const bool is_home = slot == session->home;
    const bool is_deleted = word == Word::deletion, is_renamed = word == Word::new_id;
    const bool is_silence = word == Word::none || word == Word::refusal;
    if (slot == data_home) {
      // To a request that was sent there for its data, and by its id: of a former one it may say anything.
      const bool says_gone = is_renamed || is_deleted || word == Word::refusal;
      const bool is_telling = from == slot && key == session->key && says_gone;
      if (is_telling && came_back_empty(shard, session, now, word, asked)) return;
      if (!is_silence) session->doubtful = false;
      if (is_deleted) return finish(shard, session, Event::logged_out);
      const bool is_adopted = cost.silence == Cost::Silence::is_adopted && !is_renamed && !cost.is_shared();
      if (is_adopted && is_back(*session)) count(shard, *session, Event::uncertain);
      return recover(shard, *session);
    }
    if (from == slot || (data_home != from && !is_home)) return;
    const Slot left = session->booked_at();
    const bool is_first = data_home == kNoSlot;
    const bool costs = !is_first && cost.of(left, slot) == Event::lost;
    const bool is_free = costs && cost.nothing_to_lose, is_uncertain = costs && !is_free && session->doubtful;
    if (is_uncertain) count(shard, *session, Event::uncertain);
    const Event what = is_first || is_free || is_uncertain ? Event::reassigned : cost.of(left, slot);
    if (!is_silence) session->doubtful = false;
    const bool is_lost = what == Event::lost;
    // One copy may be gone, where the backend that had it was away as well, and what it says then.
    const bool has_no_copy = cost.storage == conf::Storage::backup && (is_renamed || is_deleted);
    if (what == Event::carried && (has_no_copy || copy_may_be_gone(*session, cost)))
      count(shard, *session, Event::uncertain);
    if (is_lost && (is_renamed || is_deleted)) count(shard, *session, Event::confirmed);
    if (is_lost && is_deleted) return finish(shard, session, Event::lost);
    const bool is_silent = is_lost && is_silence;
    if (is_silent && cost.silence == Cost::Silence::leaves_unproven) {
      leave(shard, *session, Event::lost);
      session->unproven = true;
      session->origin.first_home = session->home;
      return be_at(*session, slot);
    }
    if (!is_home) {
      homes_.reserve(slot, 0);
      if (left == session->home) homes_.reserve(left, 0);  // it is on its way there now
    }
    be_at(*session, slot);
    if (left != slot) {
      arrive(shard, *session, left, slot, what);
    } else {
      recover(shard, *session);
    }
    if (is_deleted) return finish(shard, session, Event::logged_out);
    if (!is_lost) return;
    session->doubtful = is_silent && cost.silence == Cost::Silence::leaves_doubtful;
    session->origin.first_seen = now;
    count(shard, *session, Event::opened);
  });
}

// Another that was away while this session's home was may have had its copy.
bool SessionTable::copy_may_be_gone(const Entry& session, const Cost& cost) const {
  const Slot home = session.booked_at();
  const bool was_away = homes_.is_at_risk(home, session.spell);
  return cost.may_be_lost(home, [&](Slot other) { return was_away && homes_.was_out_since(other, home); });
}

// It is not in the books; what it may have been is lost once more.
void SessionTable::answered_unproven(Shard& shard, Entry* entry, Slot slot, Slot from, Word word) {
  const Slot data_home = entry->data_home();
  if (slot != data_home) {
    if (from == slot || (data_home != from && slot != entry->home)) return;
    count(shard, *entry, Event::uncertain);
    be_at(*entry, slot);
  }
  if (word == Word::deletion) drop(shard, entry);
}

// Its data is there now. Where that is not its home, it is on its way home: the data is at a later choice
// than it was, and the home is a later one than that.
void SessionTable::be_at(Entry& session, Slot slot) {
  const bool is_home = slot == session.home;
  if (!is_home) session.choice = static_cast<uint16_t>(session.choice + (session.unanswered ? 1 : 2));
  session.unanswered = !is_home;
  session.origin.leaving = is_home ? kNoSlot : slot;
}

// Its home was away, and has not answered it since.
bool SessionTable::is_back(const Entry& session) const {
  const Slot home = session.booked_at();
  return homes_.in_service(home) && homes_.is_at_risk(home, session.spell);
}

// Where the first answer after the home was out of service sets another id, or deletes the one that there
// was, the home has come back without the session. An answer to what changes something may do either for that
// reason; and who is refused may have been so before. False: the session goes on as it was, for all that is
// known.
bool SessionTable::came_back_empty(Shard& shard, Entry* session, uint32_t now, Word word, Asked asked) {
  if (!is_back(*session)) return false;
  const bool is_certain = asked == Asked::to_read && !session->doubtful && word != Word::refusal;
  count(shard, *session, is_certain ? Event::restarted : Event::uncertain);
  if (word == Word::refusal) session->doubtful = true;
  if (!is_certain) return false;
  count(shard, *session, Event::confirmed);
  if (word == Word::deletion) {
    finish(shard, session, Event::lost);
    return true;
  }
  count(shard, *session, Event::lost);
  const Slot home = session->booked_at();
  homes_.remove(home, session->returned, session->spell, Event::lost);
  session->spell = homes_.add(home, session->returned, false);
  session->origin.first_seen = now;
  count(shard, *session, Event::opened);
  return true;
}

void SessionTable::recover(Shard& shard, Entry& session) {
  if (homes_.recover(session.booked_at(), session.returned, session.spell))
    count(shard, session, Event::recovered);
}

}  // namespace limpet::routing
