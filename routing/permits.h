// How many requests each backend of a pool serves at once at most (`max_connections`), over all workers, and
// who waits for one of them to end.
//
// A place that comes free goes to whoever has waited for it longest, before anybody who comes later. Where a
// backend has no limit nothing is counted, and nobody waits.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "routing/fleet.h"
#include "routing/per_slot.h"

namespace limpet::routing {

class Permits;

// A place at a backend, given back when this ends; or none.
class Permit {
 public:
  Permit() = default;
  Permit(Permit&& other) noexcept = default;
  Permit& operator=(Permit&& other) noexcept;
  ~Permit() { give_back(); }

  explicit operator bool() const { return of_ != nullptr; }
  void give_back();

 private:
  friend class Permits;
  Permit(std::shared_ptr<Permits> of, Slot slot) : of_(std::move(of)), slot_(slot) {}

  std::shared_ptr<Permits> of_;  // nullptr: none
  Slot slot_ = kNoSlot;
};

// Somebody who waits for a place.
class Waiting {
 public:
  // Of the thread that serves those who wait.
  class Listener {
   public:
    // From any thread: it need not wait any more, and Permits::end() says what for.
    virtual void on_called(std::shared_ptr<Waiting> waiting) = 0;

   protected:
    ~Listener() = default;
  };

  Waiting(Slot slot, std::shared_ptr<Listener> listener, void* owner)
      : owner_(owner), slot_(slot), listener_(std::move(listener)) {}

  // Of the listener's thread. Whoever waits no more has none.
  void* owner() const { return owner_; }

 private:
  friend class Permits;
  enum class State : uint8_t { waits, called, over };

  void* owner_;
  const Slot slot_;
  const std::shared_ptr<Listener> listener_;
  State state_ = State::waits;  // this and what follows are guarded by the queue
  uint64_t number_ = 0;         // the lower goes first
  bool has_permit_ = false;     // called: because it has one now
};
using WaitingPtr = std::shared_ptr<Waiting>;

// Thread-safe; owned by a shared_ptr.
class Permits : public std::enable_shared_from_this<Permits> {
 public:
  // Limits and states from now on. Whoever waits at a backend that has no limit any more, or serves nobody,
  // is called.
  void follow(const Fleet& fleet);

  // A place there, into `permit`, or none where there is no limit. False: it has to be waited for.
  bool take(Slot slot, Permit& permit);

  // Advice, for whoever may go elsewhere: whether take() would say true, and how many more requests a
  // backend has than it has places, as a part of these.
  bool has_free(Slot slot) const;
  double crowd(Slot slot) const;

  // on_called() may come before this returns. Each ends by end(), once: then it has the place that it was
  // called for, if it was for one.
  WaitingPtr wait(Slot slot, uint64_t now_ms, std::shared_ptr<Waiting::Listener> listener, void* owner);
  Permit end(Waiting& waiting);

  uint32_t taken(Slot slot) const { return at_[slot].taken.load(std::memory_order_relaxed); }
  uint32_t waiting(Slot slot) const { return at_[slot].waiting.load(std::memory_order_relaxed); }
  // For how long the one has waited that has waited longest, of those who wait now. Milliseconds of the clock
  // that wait() was told of.
  uint64_t longest_wait(uint64_t now_ms) const;

 private:
  friend class Permit;
  using Queue = std::map<uint64_t, WaitingPtr>;  // by their numbers
  struct AtSlot {
    std::atomic<uint32_t> most{0};   // 0: no limit
    std::atomic<uint32_t> taken{0};  // more than `most` for a while, where that was lowered
    std::atomic<uint32_t> waiting{0};
    bool serves = true;  // this and the queue are guarded by mutex_
    Queue queue;
  };
  using Called = std::vector<WaitingPtr>;

  static bool take_one(AtSlot& at);
  void give_back(Slot slot);
  void serve(AtSlot& at, Called& called);
  void call_first(AtSlot& at, bool has_permit, Called& called);
  void add(AtSlot& at, const WaitingPtr& waiting, uint64_t now_ms);
  void remove(AtSlot& at, const Waiting& waiting);
  void note_longest();
  static void tell(const Called& called);

  PerSlot<AtSlot> at_;
  std::mutex mutex_;
  std::map<uint64_t, uint64_t> since_;      // of all who wait, by their numbers
  std::atomic<uint64_t> longest_since_{0};  // the first of these; 0: nobody waits
  uint64_t last_number_ = 0;
};

}  // namespace limpet::routing
