// What a session table should do, said once more in the plainest way: one map, no shards, no limit, no
// threads, every number counted anew from the sessions there are. The reference that random operations on
// the real one are held against.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>

#include "routing/choice_number.h"
#include "routing/session_table.h"

namespace limpet::routing::test {

class SessionModel {
 public:
  SessionModel(SessionTable::Timeouts timeouts, bool fails_back)
      : timeouts_(timeouts), fails_back_(fails_back) {}

  SessionView find(uint64_t key, uint32_t now) {
    const Record* const session = resolve(key, now);
    if (!session) return {};
    return {.home = session->home,
            .first_seen = session->first_seen,
            .last_seen = session->seen,
            .returned = session->returned,
            .booked_at = session->booked_at(),
            .choice = static_cast<uint16_t>(session->choice - (session->is_moving() ? 1 : 0))};
  }

  SessionTable::Found find_and_touch(uint64_t key, uint32_t now, bool first) {
    Record* const session = resolve_any(key, now);
    if (!session) return {};
    if (session->dormant) {
      session->dormant = false;
      session->doubtful = out_.contains(session->home);
      session->returned = true;
      count(*session, Event::restored);
    }
    session->seen = now;
    if (first && !session->unproven) session->returned = true;
    return found(*session);
  }

  SessionTable::Held begin(uint64_t key, Slot home, uint32_t now, Event how, bool by_request,
                           uint16_t choice = 0, bool doubtful = false) {
    const auto known = records_.find(key);
    if (known != records_.end() && known->second.is_awake()) {
      if (!is_idle(known->second, now)) {
        known->second.seen = now;
        return {found(known->second), false};
      }
      expire(known->second);
    }
    Record session;
    session.home = session.first_home = home;
    session.seen = session.first_seen = now;
    session.returned = how == Event::restored;
    session.data_home = by_request ? kNoSlot : home;
    session.choice = choice;
    if (known != records_.end() && !known->second.alias && is_later(known->second.choice, choice))
      session.choice = known->second.choice;
    session.at_risk = out_.contains(home);
    session.doubtful = doubtful;
    records_[key] = session;
    count(session, how);
    return {found(session), true};
  }

  SessionTable::Held move(uint64_t key, Slot from, Slot to, uint32_t now) {
    Record* const session = resolve_any(key, now);
    if (!session || session->dormant) return {};
    if (session->home != from) return {found(*session), false};
    if (!session->is_moving()) ++session->choice;
    if (session->data_home == to) --session->choice;
    if (session->data_home == kNoSlot) {
      leave(*session, to, Event::reassigned);
      ++homes_[to].arrived;
    }
    session->home = to;
    return {found(*session), session->data_home != to};
  }

  SessionTable::Found turn_back(uint64_t key, uint32_t now) {
    Record* const session = resolve_any(key, now);
    if (!session || session->dormant) return {};
    if (session->is_moving()) {
      --session->choice;
      session->home = session->data_home;
    }
    return found(*session);
  }

  SessionTable::Held rehome(uint64_t key, Slot to, uint32_t now) {
    Record* const session = resolve(key, now);
    if (!session) return {};
    session->first_home = to;
    ++session->choice;
    const bool takes_place = session->booked_at() != to && session->home != to;
    if (session->booked_at() != to) {
      leave(*session, to, Event::moved);
      ++homes_[to].arrived;
      session->data_home = kNoSlot;
    }
    session->home = to;
    return {found(*session), takes_place};
  }

  SessionTable::Found follow(uint64_t key, Slot to, uint16_t choice, bool doubtful, uint32_t now) {
    Record* const session = resolve_any(key, now);
    if (!session || session->dormant) return {};
    session->first_home = to;
    session->doubtful = doubtful && session->is_awake();
    if (session->is_awake() && session->booked_at() != to) {
      leave(*session, to, Event::reassigned);
      ++homes_[to].arrived;
    }
    session->home = session->data_home = to;
    session->choice = choice;
    return found(*session);
  }

  void answered(uint64_t key, Slot slot, Slot from, uint32_t now, SessionTable::Word word,
                SessionTable::Asked asked, Event cost, Cost::Silence silence, bool nothing_to_lose) {
    using Word = SessionTable::Word;
    Record* const session = resolve_any(key, now);
    if (!session || session->dormant) return;
    const bool says_gone = word == Word::new_id || word == Word::deletion, refuses = word == Word::refusal;
    const bool is_silence = word == Word::none || refuses;
    if (session->data_home == slot) {
      const bool is_former = &records_[key] != session;
      const bool is_back = session->at_risk && !out_.contains(slot);
      const bool tells = is_back && (says_gone || refuses) && !is_former && from == slot;
      if (tells && says_gone && asked == SessionTable::Asked::to_read && !session->doubtful)
        return came_back_empty(key, *session, now, word);
      if (tells) count(*session, Event::uncertain);
      if (tells && refuses) session->doubtful = true;
      if (!is_silence) session->doubtful = false;
      if (word == Word::deletion) {
        end(key, Event::logged_out, now);
      } else {
        if (is_back && silence == Cost::Silence::is_adopted && word != Word::new_id)
          count(*session, Event::uncertain);
        recover(*session);
      }
      return;
    }
    if (from == slot || (session->data_home != from && session->home != slot)) return;
    const bool costs = session->data_home != kNoSlot && cost == Event::lost;
    const bool doubted = costs && !session->unproven && (session->doubtful || nothing_to_lose);
    if (doubted && !nothing_to_lose) count(*session, Event::uncertain);
    const bool had_nothing = session->data_home == kNoSlot || doubted;
    if (!is_silence) session->doubtful = false;
    const bool is_lost = !session->unproven && !had_nothing && cost == Event::lost;
    if (session->unproven) count(*session, Event::uncertain);
    if (is_lost && says_gone) count(*session, Event::confirmed);
    const bool is_carried = !session->unproven && !had_nothing && cost == Event::carried;
    if (is_carried && says_gone) count(*session, Event::uncertain);  // the storage is `backup`
    if ((is_lost || session->unproven) && word == Word::deletion) {
      end(key, Event::lost, now);
      return;
    }
    if (session->home != slot) {
      ++session->choice;
      if (session->data_home == session->home) ++session->choice;
    }
    const bool gets_unproven = is_lost && is_silence && silence == Cost::Silence::leaves_unproven;
    if (gets_unproven) {
      count(*session, Event::lost);
      session->unproven = true;
      session->at_risk = false;
      session->first_home = session->home;
    } else if (session->unproven) {
    } else if (session->booked_at() != slot) {
      leave(*session, slot, had_nothing ? Event::reassigned : cost);
      if (!is_lost) ++homes_[slot].arrived;
    } else {
      recover(*session);
    }
    session->data_home = slot;
    if (session->unproven) return;
    if (word == Word::deletion) {
      end(key, Event::logged_out, now);
      return;
    }
    if (!is_lost) return;
    session->doubtful = is_silence && silence == Cost::Silence::leaves_doubtful;
    session->first_seen = now;
    count(*session, Event::opened);
  }

  bool renew(uint64_t from, uint64_t to, Slot home, uint32_t now) {
    const auto known = records_.find(to);
    if (known != records_.end() && known->second.is_awake() && !is_idle(known->second, now)) return false;
    const auto old = records_.find(from);
    if (old == records_.end() || !old->second.is_awake() || is_idle(old->second, now)) return false;
    if (old->second.home != home || old->second.booked_at() != home) return false;
    if (known != records_.end() && known->second.is_awake()) expire(known->second);
    Record session = old->second;
    session.seen = now;
    records_[to] = session;
    Record alias;
    alias.alias = true;
    alias.target = to;
    alias.seen = now;
    records_[from] = alias;
    count(session, Event::renewed);
    return true;
  }

  void log_out(uint64_t key, Slot slot, uint32_t now) {
    const Record* const session = resolve_any(key, now);
    if (session && session->data_home == slot) end(key, Event::logged_out, now);
  }

  bool end(uint64_t key, Event how, uint32_t now) {
    Record* const session = resolve_any(key, now);
    if (!session) return false;
    if (session->is_awake()) count(*session, how);
    const uint64_t its_key = erase(session);
    if (how == Event::unbound) {
      Record& mark = records_[its_key];
      mark.alias = mark.leads_nowhere = true;
      mark.seen = now;
    }
    return true;
  }

  void set_in_service(Slot home, bool in_service) {
    if (in_service) {
      out_.erase(home);
    } else if (out_.insert(home).second) {
      put_at_risk(home);
    }
  }
  // One that is dormant has been out of the books, and is at risk when its client is back.
  void put_at_risk(Slot home) {
    for (auto& [key, record] : records_) record.at_risk |= !record.unproven && record.booked_at() == home;
  }

  void sweep(uint32_t now) {
    for (auto at = records_.begin(); at != records_.end();) {
      Record& record = at->second;
      record.seen = std::min(record.seen, now);
      if (record.is_awake() && is_idle(record, now)) idle_out(record);
      const bool over = record.alias        ? is_stale(record, now)
                        : record.is_ghost() ? is_over(record, now)
                                            : is_idle(record, now);
      at = over ? records_.erase(at) : std::next(at);
    }
  }

  // What should be counted.
  const Books& books() const { return books_; }
  HomeCensus census(Slot home) const {
    HomeCensus census;
    if (const auto at = homes_.find(home); at != homes_.end()) census = at->second;
    for (const auto& [key, record] : records_) {
      if (!record.is_awake() || record.booked_at() != home) continue;
      ++census.live;
      census.live_returned += record.returned;
    }
    for (const auto& [key, record] : records_) {
      if (!record.is_awake() || record.booked_at() != home || !record.at_risk) continue;
      ++census.at_risk.live;
      census.at_risk.returned += record.returned;
    }
    census.in_service = !out_.contains(home);
    return census;
  }
  uint64_t moving_to(Slot home) const {
    return count_if([&](const Record& record) { return record.home == home && record.booked_at() != home; });
  }
  uint64_t going_to(Slot home) const {
    return count_if([&](const Record& record) { return record.home == home; });
  }
  uint64_t live() const {
    return count_if([](const Record&) { return true; });
  }
  uint64_t live_returned() const {
    return count_if([](const Record& record) { return record.returned; });
  }
  uint64_t at_risk() const {
    return count_if([&](const Record& record) { return record.at_risk; });
  }
  uint64_t at_risk_returned() const {
    return count_if([&](const Record& record) { return record.returned && record.at_risk; });
  }
  uint64_t entries() const { return records_.size(); }

 private:
  struct Record {
    bool alias = false, leads_nowhere = false, dormant = false, unproven = false, doubtful = false;
    bool is_ghost() const { return dormant || unproven; }
    bool is_awake() const { return !alias && !is_ghost(); }
    uint64_t target = 0;
    Slot home = kNoSlot;
    Slot data_home = kNoSlot;
    Slot first_home = kNoSlot;
    uint32_t seen = 0;
    uint32_t first_seen = 0;
    bool returned = false;
    uint16_t choice = 0;
    bool at_risk = false;
    bool is_moving() const { return data_home != kNoSlot && data_home != home; }
    Slot booked_at() const { return data_home != kNoSlot ? data_home : home; }
  };

  static SessionTable::Found found(const Record& session) {
    return {session.home,
            session.data_home,
            session.first_home,
            session.choice,
            session.is_awake() && (session.at_risk || session.doubtful),
            session.is_ghost()};
  }
  static uint32_t age(const Record& record, uint32_t now) {
    return now < record.seen ? 0 : now - record.seen;
  }
  bool is_idle(const Record& session, uint32_t now) const {
    return age(session, now) > (session.returned ? timeouts_.idle : timeouts_.unreturned);
  }
  bool is_stale(const Record& alias, uint32_t now) const {
    const uint32_t lasts = timeouts_.idle + timeouts_.idle / 4 + 1;
    return age(alias, now) > (alias.leads_nowhere ? lasts : timeouts_.renewal_grace);
  }

  bool is_over(const Record& ghost, uint32_t now) const {
    const uint32_t lasts = ghost.unproven ? std::max(timeouts_.dormant, timeouts_.idle) : timeouts_.dormant;
    return age(ghost, now) > lasts;
  }
  // It sleeps where its data was, or is nothing any more.
  void idle_out(Record& session) {
    expire(session);
    if (session.is_moving()) --session.choice;
    session.home = session.data_home = session.booked_at();
    session.dormant = timeouts_.dormant != 0 && session.home != kGoneSlot;
  }

  template <class Is>
  uint64_t count_if(Is&& is) const {
    uint64_t count = 0;
    for (const auto& [key, record] : records_) count += record.is_awake() && is(record);
    return count;
  }

  void count(const Record& session, Event event) {
    books_.count(event, session.returned);
    HomeCensus& home = homes_[session.booked_at()];
    home.books.count(event, session.returned);
    if (is_lost_in_service(session, event)) home.lost_in_service.count(event, session.returned);
  }
  static bool is_lost_in_service(const Record& session, Event how) {
    return (how == Event::lost || how == Event::carried) && !session.at_risk;
  }

  void expire(const Record& session) {
    count(session, out_.contains(session.booked_at()) ? Event::abandoned : Event::expired);
  }

  void recover(Record& session) {
    if (!session.at_risk || out_.contains(session.booked_at())) return;
    count(session, Event::recovered);
    session.at_risk = false;
  }

  void came_back_empty(uint64_t key, Record& session, uint32_t now, SessionTable::Word word) {
    count(session, Event::restarted);
    count(session, Event::confirmed);
    if (word == SessionTable::Word::deletion) {
      end(key, Event::lost, now);
      return;
    }
    count(session, Event::lost);
    session.at_risk = false;
    session.first_seen = now;
    count(session, Event::opened);
  }

  // From the books of one home to those of another, where it is first at home unless sessions fail back.
  void leave(Record& session, Slot to, Event how) {
    count(session, how);
    if (is_lost_in_service(session, how) && fails_back_ && to == session.first_home) {
      HomeCensus& left = homes_[session.booked_at()];
      ++(how == Event::lost ? left.lost_by_failback : left.failed_back);
    }
    session.at_risk = out_.contains(to);
    if (!fails_back_) session.first_home = to;
  }

  Record* resolve(uint64_t key, uint32_t now) {
    Record* const record = resolve_any(key, now);
    return record && record->is_awake() ? record : nullptr;
  }
  Record* resolve_any(uint64_t key, uint32_t now) {
    for (int hops = 0; hops <= 4; ++hops) {
      const auto found = records_.find(key);
      if (found == records_.end()) return nullptr;
      Record& record = found->second;
      if (record.alias && is_stale(record, now)) {
        records_.erase(found);
        return nullptr;
      }
      if (record.leads_nowhere) return nullptr;
      if (record.alias) {
        key = record.target;
        continue;
      }
      if (record.is_awake()) {
        if (!is_idle(record, now)) return &record;
        idle_out(record);
      }
      if (record.is_ghost() && !is_over(record, now)) return &record;
      records_.erase(found);
      return nullptr;
    }
    return nullptr;
  }

  uint64_t erase(const Record* session) {
    const auto at = std::find_if(records_.begin(), records_.end(),
                                 [session](const auto& record) { return &record.second == session; });
    const uint64_t key = at->first;
    records_.erase(at);
    return key;
  }

  const SessionTable::Timeouts timeouts_;
  const bool fails_back_;
  std::map<uint64_t, Record> records_;
  std::map<Slot, HomeCensus> homes_;  // without what is counted anew
  std::set<Slot> out_;
  Books books_;
};

}  // namespace limpet::routing::test
