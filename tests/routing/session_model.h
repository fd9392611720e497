// What a session table should do, said once more in the plainest way: one map, no shards, no limit, no
// threads, every number counted anew from the sessions there are. The reference that random operations on
// the real one are held against.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>

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
            .data_home = session->data_home()};
  }

  SessionTable::Found find_and_touch(uint64_t key, uint32_t now, bool first) {
    Record* const session = resolve(key, now);
    if (!session) return {};
    session->seen = now;
    if (first) session->returned = true;
    return {session->home, session->leaving, session->first_home, session->unanswered};
  }

  SessionTable::Held begin(uint64_t key, Slot home, uint32_t now, Event how, bool by_request) {
    const auto found = records_.find(key);
    if (found != records_.end() && !found->second.alias) {
      if (!is_idle(found->second, now)) {
        found->second.seen = now;
        return {found->second.home, false};
      }
      expire(found->second);
    }
    Record session;
    session.home = session.first_home = home;
    session.seen = session.first_seen = now;
    session.returned = how == Event::restored;
    session.unanswered = by_request;
    records_[key] = session;
    count(session, how);
    return {home, true};
  }

  SessionTable::Held move(uint64_t key, Slot from, Slot to, uint32_t now, SessionTable::Cost cost) {
    Record* const session = resolve(key, now);
    if (!session) return {};
    if (session->home != from) return {session->home, false};
    if (session->leaving == to) {  // back to its data
      session->home = to;
      session->leaving = kNoSlot;
      session->unanswered = false;
      return {to, false};
    }
    const Slot data_home = session->data_home();
    const bool has_nothing = session->leaving == kNoSlot && session->unanswered;
    session->home = to;
    session->leaving = data_home;
    session->unanswered = true;
    session->loses = cost == SessionTable::Cost::lost;
    if (cost == SessionTable::Cost::moved) {
      session->first_home = to;
      arrive(*session, Event::moved);
    } else if (has_nothing) {
      arrive(*session, Event::reassigned);
    }
    return {to, true};
  }

  void answered(uint64_t key, Slot home, uint32_t now, bool set_new_id) {
    Record* const session = resolve(key, now);
    if (!session || session->home != home || !session->unanswered) return;
    session->unanswered = false;
    if (session->leaving == kNoSlot) return;
    if (!session->loses) {
      arrive(*session, Event::carried);
      return;
    }
    if (set_new_id) count(*session, Event::confirmed);
    arrive(*session, Event::lost);
    session->first_seen = now;
    count(*session, Event::opened);
  }

  bool renew(uint64_t from, uint64_t to, Slot home, uint32_t now) {
    const auto known = records_.find(to);
    if (known != records_.end() && !known->second.alias && !is_idle(known->second, now)) return false;
    const auto old = records_.find(from);
    if (old == records_.end() || old->second.alias || is_idle(old->second, now)) return false;
    if (old->second.home != home || old->second.leaving != kNoSlot) return false;
    if (known != records_.end() && !known->second.alias) expire(known->second);
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

  bool end(uint64_t key, Event how, uint32_t now) {
    Record* const session = resolve(key, now);
    if (!session) return false;
    count(*session, how);
    erase(session);
    return true;
  }

  void set_in_service(Slot home, bool in_service) {
    if (!in_service) {
      out_.insert(home);
    } else if (out_.erase(home)) {
      for (const auto& [key, record] : records_) {
        if (!record.alias && record.data_home() == home) count(record, Event::recovered);
      }
    }
  }

  void sweep(uint32_t now) {
    for (auto at = records_.begin(); at != records_.end();) {
      Record& record = at->second;
      record.seen = std::min(record.seen, now);
      const bool over = record.alias ? is_stale(record, now) : is_idle(record, now);
      if (over && !record.alias) expire(record);
      at = over ? records_.erase(at) : std::next(at);
    }
  }

  // What should be counted.
  const Books& books() const { return books_; }
  HomeCensus census(Slot home) const {
    HomeCensus census;
    if (const auto at = homes_.find(home); at != homes_.end()) census = at->second;
    for (const auto& [key, record] : records_) {
      if (record.alias || record.data_home() != home) continue;
      ++census.live;
      census.live_returned += record.returned;
    }
    census.in_service = !out_.contains(home);
    return census;
  }
  uint64_t moving_to(Slot home) const {
    return count_if([&](const Record& record) { return record.leaving != kNoSlot && record.home == home; });
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
    return count_if([&](const Record& record) { return out_.contains(record.data_home()); });
  }
  uint64_t at_risk_returned() const {
    return count_if(
        [&](const Record& record) { return record.returned && out_.contains(record.data_home()); });
  }
  uint64_t entries() const { return records_.size(); }

 private:
  struct Record {
    bool alias = false;
    uint64_t target = 0;
    Slot home = kNoSlot;
    Slot leaving = kNoSlot;
    Slot first_home = kNoSlot;
    uint32_t seen = 0;
    uint32_t first_seen = 0;
    bool returned = false;
    bool unanswered = false;
    bool loses = false;
    Slot data_home() const { return leaving != kNoSlot ? leaving : home; }
  };

  static uint32_t age(const Record& record, uint32_t now) {
    return now < record.seen ? 0 : now - record.seen;
  }
  bool is_idle(const Record& session, uint32_t now) const {
    return age(session, now) > (session.returned ? timeouts_.idle : timeouts_.unreturned);
  }
  bool is_stale(const Record& alias, uint32_t now) const { return age(alias, now) > timeouts_.renewal_grace; }

  template <class Is>
  uint64_t count_if(Is&& is) const {
    uint64_t count = 0;
    for (const auto& [key, record] : records_) count += !record.alias && is(record);
    return count;
  }

  void count(const Record& session, Event event) {
    books_.count(event, session.returned);
    homes_[session.data_home()].books.count(event, session.returned);
  }

  void expire(const Record& session) {
    count(session, out_.contains(session.data_home()) ? Event::abandoned : Event::expired);
  }

  // The session that was leaving belongs to the books of its home now.
  void arrive(Record& session, Event how) {
    count(session, how);
    const Slot left = session.leaving;
    session.leaving = kNoSlot;
    if (how != Event::lost) ++homes_[session.home].arrived;
    const bool is_back = session.home == session.first_home && (how == Event::lost || how == Event::carried);
    if (fails_back_ && is_back && !out_.contains(left)) ++homes_[left].failed_back;
    if (!fails_back_) session.first_home = session.home;
  }

  Record* resolve(uint64_t key, uint32_t now) {
    for (int hops = 0; hops <= 4; ++hops) {
      const auto found = records_.find(key);
      if (found == records_.end()) return nullptr;
      Record& record = found->second;
      if (record.alias && is_stale(record, now)) {
        records_.erase(found);
        return nullptr;
      }
      if (record.alias) {
        key = record.target;
        continue;
      }
      if (!is_idle(record, now)) return &record;
      expire(record);
      records_.erase(found);
      return nullptr;
    }
    return nullptr;
  }

  void erase(const Record* session) {
    for (auto at = records_.begin(); at != records_.end(); ++at) {
      if (&at->second != session) continue;
      records_.erase(at);
      return;
    }
  }

  const SessionTable::Timeouts timeouts_;
  const bool fails_back_;
  std::map<uint64_t, Record> records_;
  std::map<Slot, HomeCensus> homes_;  // without what is counted anew
  std::set<Slot> out_;
  Books books_;
};

}  // namespace limpet::routing::test
