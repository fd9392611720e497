// The sessions of one pool: key → home, times, what became of it. Bounded, shared by all workers, lean: 24
// bytes an entry and slack.
//
// Keys are keyed hashes (hash.h): two sessions that collide in 64 bits are taken for one, which at a million
// sessions happens with a probability of 3 in 10^8. Time is passed in as Unix seconds, and may go backwards:
// a session is never ended for a clock's jump back, and ages from the jump on.
//
// Invariants, whenever no call is under way (and `imbalance` of every census, even then, is 0):
//     opened + restored = live + expired + logged_out + unbound + evicted
//     the sum of live(home) over all homes = live; load(home) = live(home) + reservations held
// A session is in one shard under one key. An alias is the former key of a renewed session: it leads there
// for kRenewalGrace, counts as an entry against max_sessions, never as a session.
//
// Thread-safe but sweep(), which is one thread's. A call locks one shard at a time; renew() locks two, in
// order.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "routing/per_slot.h"
#include "routing/session_map.h"

namespace limpet::routing {

// How often each thing happened to a session.
struct Tally {
  uint64_t opened = 0;
  uint64_t restored = 0;  // it existed before this process knew it
  // Ended:
  uint64_t expired = 0;     // idle too long
  uint64_t logged_out = 0;  // the application deleted it
  uint64_t unbound = 0;     // an operator removed it
  uint64_t evicted = 0;     // pushed out: the table was full
  // Lives on:
  uint64_t moved = 0;    // to another home
  uint64_t renewed = 0;  // under another key

  uint64_t begun() const { return opened + restored; }
  uint64_t ended() const { return expired + logged_out + unbound + evicted; }
  Tally& operator+=(const Tally& other);
};

struct Census {
  Tally tally;
  uint64_t live = 0;
  int64_t imbalance = 0;  // not 0: a session was miscounted
  uint64_t entries = 0;   // sessions and aliases
  uint64_t bytes = 0;     // what the table occupies
};

class SessionTable {
 public:
  // Seconds that a former key lasts, for requests already on their way.
  static constexpr uint32_t kRenewalGrace = 30;

  // Seconds that a session may go unseen.
  struct Timeouts {
    uint32_t idle = 0;
    uint32_t unreturned = 0;  // until its client has come back once
  };

  SessionTable(uint64_t max_sessions, Timeouts timeouts);
  ~SessionTable();

  // Places at a home. A reservation counts as load until a session uses it or it is released.
  bool reserve(Slot home, uint32_t limit);  // false at the limit; 0: no limit
  void release(Slot home);
  uint32_t load(Slot home) const;  // sessions and reservations
  uint32_t live(Slot home) const;

  // Where the session is that the key, or the alias, leads to; kNoSlot when there is none, or it idled out.
  Slot find(uint64_t key, uint32_t now);
  // The same for a request: keeps the session alive. Only a request's first look shows that its client came
  // back.
  enum class Visit : uint8_t { first, retry };
  Slot find_and_touch(uint64_t key, uint32_t now, Visit visit = Visit::first);

  // Whether the caller holds a reservation at the home it names.
  enum class Room : uint8_t { none, reserved };
  // `added`: this call put the session at `home` and used the reservation; otherwise the caller still has it.
  struct Held {
    Slot home = kNoSlot;  // where the session is now
    bool added = false;
  };
  // Begins a session at `home`. One that is known is touched and stays where it is, so that concurrent
  // requests agree. An alias of that name gives way: the application says that this is a session's key now.
  // When the table is full another session is evicted.
  Held open(uint64_t key, Slot home, uint32_t now, Room room);
  Held restore(uint64_t key, Slot home, uint32_t now, Room room);  // the same for one that existed before

  // Moves the session from one home to another, at which the caller holds a reservation, unless a concurrent
  // request moved it first. Held.home is where it is now, kNoSlot when there is no such session.
  Held move(uint64_t key, Slot from, Slot to, uint32_t now);

  // The session goes on under `to`; `from` becomes its alias (unless the table is full: then `from` is
  // forgotten). False, and nothing happens, when `from` is no session at `home` or `to` is one already.
  bool renew(uint64_t from, uint64_t to, Slot home, uint32_t now);

  // Ends the session that the key, or the alias, leads to. False when there is none.
  enum class End : uint8_t { logged_out, unbound };
  bool end(uint64_t key, End how, uint32_t now);

  // Ends what has been idle too long, in a slice of the table: kSweeps calls see all of it. For one thread.
  static constexpr size_t kSweeps = 4;
  void sweep(uint32_t now);

  Census census() const;

 private:
  struct Shard;
  struct HomeCount {
    std::atomic<uint32_t> load{0}, live{0};
  };

  Shard& shard_of(uint64_t key) const;
  template <class Use>
  auto with_session(uint64_t key, uint32_t now, Use&& use);

  bool is_idle(const Entry& session, uint32_t now) const;
  Held begin(uint64_t key, Slot home, uint32_t now, Room room, uint64_t Tally::*how);
  void finish(Shard& shard, Entry* session, uint64_t Tally::*how);
  void forget_alias(Shard& shard, Entry* alias);
  bool claim_entry();
  void make_room(Shard& shard, uint64_t key, uint32_t now);
  Entry* victim(Shard& shard, uint64_t key, uint32_t now) const;
  void sweep(Shard& shard, uint32_t now);

  const uint64_t max_entries_;
  const Timeouts timeouts_;
  const size_t shard_count_;  // a power of two
  const std::unique_ptr<Shard[]> shards_;
  std::atomic<uint64_t> entries_{0};
  PerSlot<HomeCount> homes_;
  size_t next_to_sweep_ = 0;  // the sweeping thread's
};

}  // namespace limpet::routing
