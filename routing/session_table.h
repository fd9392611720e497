// The sessions of one pool: key → home, times, what became of it. Bounded, shared by all workers, lean: 32
// bytes an entry and slack.
//
// Keys are keyed hashes (hash.h): two sessions that collide in 64 bits are taken for one, which at a million
// sessions happens with a probability of 3 in 10^8. Time is passed in as seconds of a clock that nobody
// sets. Should it go back all the same, no session is ended for it, and each ages from there on.
//
// Invariants, whenever no call is under way (and `imbalance` of every census, even then, is 0):
//     the books of ledger.h balance
//     the sum of live(home) over all homes = live
//     load(home) = live(home) + reservations held + sessions that are moving there
// A session that moves is in its old home's books until another one has answered: only then is it carried, or
// lost and another one opened. Where the new home fails as well, nothing has happened yet. It is not always
// the home that answers first: one that it was sent to before, and that took its time, may have the data now.
// A session is in one shard under one key. An alias is the former key of a renewed session: it leads there
// for renewal_grace, counts as an entry against max_sessions, never as a session. A session
// that has idled out is dormant for as long as there is room and dormant_timeout says: it has ended in the
// books, but its home is remembered, and a client that comes back to it begins it again there. One that was
// lost, and whose new home has not said that it is a session there, is unproven for as long: its requests go
// there, and should it have to move again, whether anything is lost is uncertain. So it is with one that
// another balancer calls unproven, or that was abandoned and is back: it is in the books, and doubtful. A
// mark, an alias of itself,
// is left by a session that an operator unbound: until its last token has idled out that key leads nowhere.
//
// Thread-safe but sweep(), which is one thread's. A call locks one shard at a time; renew() locks two, in
// order. How many shards there are follows max_sessions: a regrouping moves the entries of one shard at a
// time, and a call that has waited for the lock of a shard looks whether its key still belongs there.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <utility>
#include <vector>

#include "routing/cost.h"
#include "routing/homes.h"
#include "routing/ledger.h"
#include "routing/pauses.h"
#include "routing/session_map.h"

namespace limpet::routing {

struct Census {
  Books books;
  uint64_t live = 0;  // of these at risk are so many, and the others active
  uint64_t live_returned = 0;
  uint64_t at_risk = 0;
  uint64_t at_risk_returned = 0;
  int64_t imbalance = 0;  // not 0: a session was miscounted
  uint64_t entries = 0;   // sessions and aliases
  uint64_t bytes = 0;     // what the table occupies
  uint64_t shards = 0;
};

// A session as it stands.
struct SessionView {
  Slot home = kNoSlot;
  uint32_t first_seen = 0;  // seconds
  uint32_t last_seen = 0;
  bool returned = false;
  bool polls = false;         // its requests come at regular times
  Slot booked_at = kNoSlot;   // whose session it is: `home`, or the one that it is leaving
  Slot first_home = kNoSlot;  // where it would fail back to, or `home`
  uint16_t choice = 0;        // of `booked_at` (choice_number.h)
};

class SessionTable {
 public:
  // In seconds.
  struct Timeouts {
    uint32_t idle = 0;           // that a session may go unseen
    uint32_t unreturned = 0;     // the same until its client has come back once
    uint32_t renewal_grace = 0;  // that a former key lasts, for requests already on their way
    uint32_t dormant = 0;        // that the home of a session is remembered that has idled out; 0: it is not
  };

  SessionTable(uint64_t max_sessions, Timeouts timeouts);
  ~SessionTable();

  Homes& homes() { return homes_; }
  const Homes& homes() const { return homes_; }

  // From the next call on. What is above a lower bound goes by and by, with the next calls to sweep() and
  // trim().
  void set_limits(uint64_t max_sessions, Timeouts timeouts);
  // Whether sessions remember their first home when they are moved.
  void set_failback(bool fails_back) { fails_back_.store(fails_back, std::memory_order_relaxed); }

  // The session that the key, or the alias, leads to; its home is kNoSlot when there is none, or it idled
  // out.
  SessionView find(uint64_t key, uint32_t now);

  // The same for a request: keeps the session alive, and restores one that is dormant. Only a request's first
  // look shows that its client came back.
  enum class Visit : uint8_t { first, retry };
  struct Found {
    Slot home = kNoSlot;         // where its requests go
    Slot data_home = kNoSlot;    // where its data is: another one until `home` has answered, or none yet
    Slot first_home = kNoSlot;   // where it was before it failed over, or `home`
    uint16_t choice = 0;         // of `home`
    bool open_question = false;  // whether its home has its data: it is at risk, or doubtful
    bool ghost = false;          // it is in nobody's books
  };
  Found find_and_touch(uint64_t key, uint32_t now, Visit visit = Visit::first);

  // Whether the caller holds a reservation at the home it names.
  enum class Room : uint8_t { none, reserved };
  // Whether its home has answered already when a session begins.
  enum class Begun : uint8_t { by_request, by_answer };
  // The session as it is now; its home is kNoSlot when there is none. `added`: this call put it at `home` and
  // used the reservation; otherwise the caller still has it.
  struct Held : Found {
    bool added = false;
  };
  // Begins a session at `home`. One that is known is touched and stays where it is, so that concurrent
  // requests agree. An alias of that name gives way: the application says that this is a session's key now.
  // When the table is full another session is evicted.
  Held open(uint64_t key, Slot home, uint32_t now, Room room, Begun begun, uint16_t choice = 0);
  // The same for one that existed before. `returned`: its client has come back with it. `answered`: when its
  // home answered it last, as far as is known, in the time of day.
  Held restore(uint64_t key, Slot home, uint32_t now, uint16_t choice = 0, bool returned = true,
               bool doubtful = false, uint32_t answered = UINT32_MAX);

  // Sends the session's requests from one home to another, at which the caller holds a reservation, unless a
  // concurrent request did so first. What it costs is settled by the first answer; a session that nobody has
  // answered yet is reassigned at once.
  Held move(uint64_t key, Slot from, Slot to, uint32_t now);
  // Calls off a move that nobody has answered: the session's requests go where its data is again.
  Found turn_back(uint64_t key, uint32_t now);
  // The same as move() by an operator's order, from wherever it is: it is moved at once, and begins anew
  // there. Not so where its data is there already.
  Held rehome(uint64_t key, Slot to, uint32_t now);
  // The same by another balancer's choice, which cost there what it cost: the session is reassigned.
  Found follow(uint64_t key, Slot to, uint16_t choice, bool doubtful, uint32_t now,
               uint32_t answered = UINT32_MAX);

  // `slot` has answered a request of the session, whose data was at another home (or at none), `from`, when
  // that request left. It counts when the data is there still, or when `slot` is the session's home; an
  // answer that others have overtaken tells nothing. A session that was lost has ended now, and its client
  // has begun another one at `slot`, unless the answer deleted the id: then it has none; or it said nothing
  // where it should: then it is unproven (Cost). That the answer set a new id, or deleted this one, confirms
  // the loss. A deletion by a home that has the data is a logout. A refusal says that the client is nobody,
  // and nothing of any id: after an outage its home may have lost the session.
  enum class Word : uint8_t { none, same_id, new_id, deletion, refusal };
  enum class Asked : uint8_t { to_read, to_change };  // by GET or HEAD, or otherwise
  void answered(uint64_t key, Slot slot, Slot from, uint32_t now, Word word, Asked asked, const Cost& cost);

  // The session goes on under `to`; `from` becomes its alias (unless the table is full: then `from` is
  // forgotten). False, and nothing happens, when `from` is no session at `home` or `to` is one already.
  bool renew(uint64_t from, uint64_t to, Slot home, uint32_t now);

  // `slot` has deleted the session that the key, or the alias, leads to: it ends where its data is there.
  void log_out(uint64_t key, Slot slot, uint32_t now);
  bool unbind(uint64_t key, uint32_t now);  // the same by an operator's order; false when there is none
  bool is_unbound(uint64_t key, uint32_t now) const;  // and nothing has begun under that key since
  void expire(uint64_t key, uint32_t now);            // its time is over, though it was not idle

  // What a token may say of the key: a home of kNoSlot: nothing.
  struct Binding {
    Slot home = kNoSlot;  // of its data, as far as any answer has told
    uint16_t choice = 0;
    bool unproven = false;
  };
  Binding binding(uint64_t key, uint32_t now);

  // Whether a request would be led home by that key, or by a session that is dormant there.
  bool knows(uint64_t key, uint32_t now);

  // Ends what has been idle too long, in a slice of the table: kSweeps calls see all of it. For one thread.
  static constexpr size_t kSweeps = 4;
  void sweep(uint32_t now);
  // Evicts so many at most of those that are above a bound that was lowered, which sweep() does as well; some
  // milliseconds, and no shard is locked for more than a few tenths of one. Free where none are. For the same
  // thread.
  static constexpr size_t kTrimmedAtOnce = 32768;
  void trim(uint32_t now);

  Census census() const;
  PauseCounts pauses() const;

  // The sessions at each of these homes, in one pass, a shard at a time.
  std::vector<std::vector<SessionView>> sessions_at(std::span<const Slot> homes) const;
  std::vector<SessionView> sessions_at(Slot home) const { return sessions_at(std::span(&home, 1)).front(); }

  // These homes have gone for good, and hold no session: no session remembers one as its first either.
  void forget(std::span<const Slot> homes);

 private:
  struct Shard;
  struct Locked;
  static constexpr size_t kMostShards = 256;

  const std::atomic<Shard*>& place_of(uint64_t key) const { return directory_[key % kMostShards]; }
  Locked lock(uint64_t key) const;
  template <class Use>
  void for_each_shard(Use&& use) const;
  template <class Use>
  void for_each_grouped(Use&& use) const;
  template <class Use>
  auto with_entry(uint64_t key, uint32_t now, Use&& use);
  template <class Use>
  auto with_session(uint64_t key, uint32_t now, Use&& use);

  Found found(const Entry& session) const;
  bool is_idle(const Entry& session, uint32_t now) const;
  bool is_stale(const Entry& alias, uint32_t now) const;
  bool is_over(const Entry& ghost, uint32_t now) const;
  struct Beginning {
    Event how;
    Room room;
    bool returned = false;
    bool unanswered = false;
    uint16_t choice = 0;
    bool doubtful = false;
    bool at_risk = false;
  };
  Held begin(uint64_t key, Slot home, uint32_t now, const Beginning& beginning);
  void answered_unproven(Shard& shard, Entry* entry, Slot slot, Slot from, Word word);
  void be_at(Entry& session, Slot slot);
  bool renew(Shard& old_shard, Shard& new_shard, uint64_t from, uint64_t to, Slot home, uint32_t now);
  bool is_back(const Entry& session) const;
  bool copy_may_be_gone(const Entry& session, const Cost& cost) const;
  bool came_back_empty(Shard& shard, Entry* session, uint32_t now, Word word, Asked asked);
  void recover(Shard& shard, Entry& session);
  void count(Shard& shard, const Entry& session, Event event);
  void finish(Shard& shard, Entry* session, Event how);
  void arrive(Shard& shard, Entry& session, Slot left, Slot at, Event how, bool at_risk = false);
  void expire(Shard& shard, Entry* session);
  void make_way(Shard& shard, Entry* entry);
  Event ending(const Entry& session) const;
  void leave(Shard& shard, const Entry& session, Event how);
  void wake(Shard& shard, Entry& session);
  void drop(Shard& shard, Entry* entry);
  void erase(Shard& shard, Entry* entry);
  bool claim_entry();
  bool release_entry();
  void make_room(Shard& shard, uint64_t key, uint32_t now);
  // Who goes first: by class, then by age.
  enum class Class : uint8_t { kept, unreturned, asleep };
  static constexpr size_t kClasses = 3;
  using Rank = std::pair<Class, uint32_t>;
  Rank rank(const Entry& entry, uint32_t now) const;
  Entry* victim(Shard& shard, uint64_t key, uint32_t now) const;
  Entry* recent_victim(Shard& shard, Class least, uint32_t now) const;
  void evict(Shard& shard, Entry* entry, uint32_t now);
  void sweep(Shard& shard, uint32_t now);
  bool is_above_bound() const;
  void trim_some(uint32_t now);
  void plan_trim();
  struct Doom;
  size_t choose_doomed(Doom& doom, uint32_t now);
  size_t evict_doomed(Doom& doom, uint32_t now);
  bool is_well_grouped() const;
  void regroup();
  void split();
  void merge();
  void lead(size_t index, Shard& shard);

  std::atomic<uint64_t> max_entries_;
  std::atomic<uint32_t> idle_timeout_, unreturned_timeout_, renewal_grace_, dormant_timeout_;
  std::atomic<bool> fails_back_{false};
  std::atomic<uint64_t> entries_{0};
  Homes homes_;
  std::array<Pauses, 8> pauses_;

  // By the low bits of a key (a map places its entries by the high ones). Changes under the locks of the
  // shards that it leads to before and after.
  std::array<std::atomic<Shard*>, kMostShards> directory_;

  mutable std::shared_mutex
      grouping_;            // guards the rest; whoever takes it takes the locks of shards after it
  size_t shard_count_ = 1;  // a power of two
  std::array<std::unique_ptr<Shard>, kMostShards> shards_;  // those that are no longer used are kept too

  // The sweeping thread's, and a regrouping's:
  size_t next_to_sweep_ = 0;
  struct Doomed {
    Rank rank;
    uint64_t key;
  };
  struct Doom {  // who has to go of a shard: the next one comes last
    Shard* shard = nullptr;
    std::vector<Doomed> doomed;
  };
  struct Trim {
    std::array<double, kClasses> parts{};
    double owed = 0;         // less than one entry
    size_t shards_left = 0;  // whose doom is not known yet
    std::array<Doom, 8> dooms;
  } trim_;
};

}  // namespace limpet::routing
