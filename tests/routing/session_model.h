// What a session table should do, said once more in the plainest way: one map, no shards, no limit, no
// threads. The reference that random operations on the real one are held against.
#pragma once

#include <cstdint>
#include <map>

#include "routing/session_table.h"

namespace limpet::routing::test {

class SessionModel {
 public:
  explicit SessionModel(SessionTable::Timeouts timeouts) : timeouts_(timeouts) {}

  Slot find(uint64_t key, uint32_t now) {
    const Record* const session = resolve(key, now);
    return session ? session->home : kNoSlot;
  }

  Slot find_and_touch(uint64_t key, uint32_t now, bool first) {
    Record* const session = resolve(key, now);
    if (!session) return kNoSlot;
    session->seen = now;
    if (first) session->returned = true;
    return session->home;
  }

  SessionTable::Held begin(uint64_t key, Slot home, uint32_t now, uint64_t Tally::*how) {
    const auto found = records_.find(key);
    if (found != records_.end() && !found->second.alias && !is_idle(found->second, now)) {
      found->second.seen = now;
      return {found->second.home, false};
    }
    if (found != records_.end() && !found->second.alias) ++tally_.expired;
    records_[key] = {
        .alias = false, .target = 0, .home = home, .seen = now, .returned = how == &Tally::restored};
    ++(tally_.*how);
    return {home, true};
  }

  SessionTable::Held move(uint64_t key, Slot from, Slot to, uint32_t now) {
    Record* const session = resolve(key, now);
    if (!session) return {};
    if (session->home != from) return {session->home, false};
    session->home = to;
    ++tally_.moved;
    return {to, true};
  }

  bool renew(uint64_t from, uint64_t to, Slot home, uint32_t now) {
    const auto known = records_.find(to);
    if (known != records_.end() && !known->second.alias && !is_idle(known->second, now)) return false;
    const auto old = records_.find(from);
    if (old == records_.end() || old->second.alias || old->second.home != home || is_idle(old->second, now))
      return false;
    if (known != records_.end() && !known->second.alias) ++tally_.expired;
    Record session = old->second;
    session.seen = now;
    records_[to] = session;
    records_[from] = {.alias = true, .target = to, .home = kNoSlot, .seen = now, .returned = false};
    ++tally_.renewed;
    return true;
  }

  bool end(uint64_t key, uint64_t Tally::*how, uint32_t now) {
    Record* const session = resolve(key, now);
    if (!session) return false;
    erase(session);
    ++(tally_.*how);
    return true;
  }

  void sweep(uint32_t now) {
    for (auto at = records_.begin(); at != records_.end();) {
      Record& record = at->second;
      record.seen = std::min(record.seen, now);
      const bool over = record.alias ? is_stale(record, now) : is_idle(record, now);
      if (over && !record.alias) ++tally_.expired;
      at = over ? records_.erase(at) : std::next(at);
    }
  }

  const Tally& tally() const { return tally_; }
  uint64_t entries() const { return records_.size(); }
  uint64_t live() const {
    uint64_t count = 0;
    for (const auto& [key, record] : records_) count += !record.alias;
    return count;
  }
  uint64_t live(Slot home) const {
    uint64_t count = 0;
    for (const auto& [key, record] : records_) count += !record.alias && record.home == home;
    return count;
  }

 private:
  struct Record {
    bool alias;
    uint64_t target;
    Slot home;
    uint32_t seen;
    bool returned;
  };

  static uint32_t age(const Record& record, uint32_t now) {
    return now < record.seen ? 0 : now - record.seen;
  }
  bool is_idle(const Record& session, uint32_t now) const {
    return age(session, now) > (session.returned ? timeouts_.idle : timeouts_.unreturned);
  }
  static bool is_stale(const Record& alias, uint32_t now) {
    return age(alias, now) > SessionTable::kRenewalGrace;
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
      records_.erase(found);
      ++tally_.expired;
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
  std::map<uint64_t, Record> records_;
  Tally tally_;
};

}  // namespace limpet::routing::test
