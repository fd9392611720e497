// Coarse deadlines for everything that waits: a wheel of slots, each a list of embedded nodes. No clock and
// no system call in here: an Alarm, which whoever owns the loop is, tells the time and is armed for the
// earliest slot.
//
// Setting a deadline later, or clearing it, is a store: the node stays where it is filed and is filed anew,
// or dropped, when its slot comes round. That is what happens on every request, so it has to cost nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace limpet::net {

using Millis = uint64_t;  // of the loop's monotonic clock
inline constexpr Millis kNever = ~Millis{0};

class DeadlineOwner {
 public:
  virtual void on_deadline() = 0;

 protected:
  ~DeadlineOwner() = default;
};

class Deadlines;

// Embedded in its owner, which must outlive it. Not copied, not moved. Unfiles itself when it is destroyed.
class Deadline {
 public:
  Deadline(Deadlines& wheel, DeadlineOwner& owner) : wheel_(wheel), owner_(&owner) {}
  ~Deadline() { unlink(); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void set(Millis due);
  void clear() { due_ = kNever; }
  bool is_set() const { return due_ != kNever; }

 private:
  friend class Deadlines;
  struct Links {
    Links* prev = this;
    Links* next = this;
  };
  struct Node : Links {
    Deadline* of = nullptr;
  };
  void unlink();

  Deadlines& wheel_;
  DeadlineOwner* owner_;
  Node node_;
  Millis due_ = kNever;
  Millis filed_ = kNever;  // the time of the slot it stands in; kNever when it stands in none
};

class Deadlines {
 public:
  static constexpr Millis kTick = 16;    // resolution: a deadline fires up to this much late, never early
  static constexpr size_t kSlots = 512;  // one lap is 8 s; what is due later is filed again once a lap

  class Alarm {
   public:
    virtual Millis now() const = 0;
    virtual void wake_at(Millis due) = 0;  // something is due earlier than all before it: call advance() then

   protected:
    ~Alarm() = default;
  };

  explicit Deadlines(Alarm& alarm) : alarm_(alarm) {}

  Millis now() const { return alarm_.now(); }

  // Fires all that are due; they may set, clear and destroy any deadline. Then arms the alarm again.
  void advance();

  // The earliest slot that holds anything; kNever when none does. Public for its test.
  Millis next_due() const;

 private:
  friend class Deadline;
  using Links = Deadline::Links;
  void file(Deadline& deadline);
  static void append(Links& list, Links& node);

  Alarm& alarm_;
  Millis done_ = 0;        // every tick up to and including this one has been fired
  Millis armed_ = kNever;  // what the alarm was last told
  std::array<Links, kSlots> slots_;
  std::array<uint64_t, kSlots / 64> occupied_{};  // a bit for each slot that may hold a node
};

}  // namespace limpet::net
