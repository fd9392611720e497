// A lean hash map from a session's key to its entry: open addressing, linear probing, deletion by shifting
// back (Knuth, TAOCP volume 3, section 6.4, algorithm R), so that there are no tombstones and an entry costs
// nothing but itself and slack. Not thread-safe; the session table puts a mutex around each of its maps.
//
// Keys are hashes already. An entry's first place is key * capacity / 2^64, which works for any capacity: the
// map grows by a sixth, not by doubling, and stays between 0.68 and 0.8 full while it grows. It shrinks when
// it is told to.
#pragma once

#include <cstdint>
#include <memory>

#include "routing/fleet.h"

namespace limpet::routing {

struct Entry {
  // A session; or an alias, the former key of a session that was renewed, which leads to its key now.
  enum class Kind : uint8_t { none, session, alias };
  struct Origin {
    uint32_t first_seen;  // seconds
    Slot first_home;      // where it would fail back to
    Slot leaving;         // has its data until `home`, where its requests go, has answered; or kNoSlot
  };

  uint64_t key = 0;
  union {
    uint64_t target = 0;  // alias: the session's key now
    Origin origin;        // session
  };
  uint32_t last_seen = 0;  // session: seconds; alias: when it became one
  Slot home = kNoSlot;     // session: where its requests go
  uint16_t choice = 0;     // session: which of its homes this one is (choice_number.h)
  uint16_t spell = 0;      // session: of the home whose it is, when that answered it last (homes.h)
  uint8_t pause = 0;       // session: the last one between two of its requests (pauses.h); 0: none yet
  Kind kind : 2 = Kind::none;
  bool returned : 1 = false;    // session: its client has come back at least once
  bool unanswered : 1 = false;  // session: its home has not answered it yet, or another one has since
  bool dormant : 1 = false;   // session: it has expired, and is in nobody's books until its client comes back
  uint8_t steady : 3 = 0;     // session: how many pauses in succession were alike, at most 7
  bool unproven : 1 = false;  // session: nothing shows that its home has anything of it; in nobody's books
  bool doubtful : 1 = false;  // session: the same, but it is in the books

  bool is_awake() const { return kind == Kind::session && !is_ghost(); }
  // session: it has ended in the books, but its requests are led to its home.
  bool is_ghost() const { return dormant || unproven; }
  // alias: it leads nowhere, since an operator has unbound the session.
  bool is_mark() const { return kind == Kind::alias && target == key; }
  // session: where its data is; kNoSlot while nobody has answered its client yet.
  Slot data_home() const { return unanswered ? origin.leaving : home; }
  // session: the home whose session it is in the books, and the number of that choice.
  Slot booked_at() const { return origin.leaving != kNoSlot ? origin.leaving : home; }
  uint16_t booked_choice() const {
    return origin.leaving != kNoSlot ? static_cast<uint16_t>(choice - 1) : choice;
  }
  // session: that is leaving stays.
  void turn_back() {
    home = origin.leaving;
    origin.leaving = kNoSlot;
    unanswered = false;
    --choice;
  }
};
static_assert(sizeof(Entry) == 32);

class SessionMap {
 public:
  // nullptr when `key` has no entry. Pointers hold until the next insert() or erase().
  Entry* find(uint64_t key);

  // Adds a copy; its key has no entry yet.
  void insert(const Entry& entry);

  // `entry` is one of the map's. Another entry may take its place.
  void erase(Entry* entry);

  // Where more than two places in five are free it takes no more room than its entries need.
  void fit();

  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  Entry& at(size_t place) { return entries_[place]; }  // of any kind, none too

 private:
  size_t first_place(uint64_t key) const;
  size_t after(size_t place) const { return place + 1 == capacity_ ? 0 : place + 1; }
  void put(const Entry& entry);
  void resize(size_t capacity);

  std::unique_ptr<Entry[]> entries_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace limpet::routing
