// Counts how often a loop has polled, and tells who waits when all that a poll brought has been handled: then
// whatever a peer had said before has been read.
#pragma once

#include <cstdint>
#include <vector>

namespace limpet::net {

// Not thread-safe: a loop's own.
class Polls {
 public:
  class Waiter {
   public:
    virtual void on_polled() = 0;

   protected:
    ~Waiter() = default;
  };

  uint64_t handled() const { return handled_; }  // how many, and all who waited for them told
  // on_polled(), once, when the poll under way has been handled; between two polls, when the next has.
  void await(Waiter& waiter) { waiting_.push_back(&waiter); }
  void forget(const Waiter& waiter);
  bool awaited() const { return !waiting_.empty(); }

  void end();  // a poll has been handled

 private:
  uint64_t handled_ = 0;
  std::vector<Waiter*> waiting_;  // nullptr: does not any more
  std::vector<Waiter*> told_;     // those that are being told
};

}  // namespace limpet::net
