// One worker's event loop: libuv's loop, the scratch that every read goes into, what is sent when a turn
// ends, the deadlines and the timer that drives them, and what is to be freed once nobody stands inside it
// any more.
//
// Deadlines act after all input that was there has been read: where a turn comes late, because the process
// was stopped or the machine is busy, what came in time is not taken for missing.
#pragma once

#include <uv.h>

#include <memory>
#include <vector>

#include "src/net/deadlines.h"
#include "src/net/outbox.h"
#include "src/net/polls.h"

namespace limpet::net {

// Something that may have to outlive the callback it ends in.
class Mortal {
 public:
  virtual ~Mortal() = default;
};

// Frees what was buried once the current event is over.
class Graveyard {
 public:
  void bury(std::unique_ptr<Mortal> dead) { dead_.push_back(std::move(dead)); }
  void clear() {
    while (!dead_.empty()) {  // a destructor may bury more
      auto dead = std::move(dead_);
      dead_.clear();
    }
  }

 private:
  std::vector<std::unique_ptr<Mortal>> dead_;
};

class Loop final : Deadlines::Alarm {
 public:
  static constexpr size_t kReadSize = 64 * 1024;  // one read at most
  static constexpr Millis kLate = 100;

  Loop();
  ~Loop();  // everything on the loop has to be closed; runs it until the last handle is
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();   // until stop()
  void stop();  // from within the loop

  uv_loop_t* uv() { return &uv_; }
  Deadlines& deadlines() { return deadlines_; }
  Graveyard& graveyard() { return graveyard_; }
  Outbox& outbox() { return outbox_; }
  Polls& polls() { return polls_; }
  char* scratch() { return scratch_.get(); }
  // When a turn came so late last that whoever waited may not have had the time that it was given; 0: never.
  Millis late_at() const { return late_at_; }

 private:
  Millis now() const override { return uv_now(&uv_); }
  void wake_at(Millis due) override;
  void on_due();
  void after_events();
  void poll_again();

  uv_loop_t uv_;
  uv_timer_t timer_;
  uv_idle_t poll_again_;  // without waiting: for what is due, and for who waits for a poll
  uv_check_t after_events_;
  uv_prepare_t before_waiting_;
  Deadlines deadlines_{*this};
  Graveyard graveyard_;
  Outbox outbox_;
  Polls polls_;
  std::unique_ptr<char[]> scratch_;
  Millis due_ = 0;  // what wakes it
  bool is_due_ = false;
  Millis late_at_ = 0;
};

}  // namespace limpet::net
