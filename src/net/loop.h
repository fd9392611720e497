// One worker's event loop: libuv's loop, the scratch that every read goes into, what is sent when a turn
// ends, the deadlines and the timer that drives them, and what is to be freed once nobody stands inside it
// any more.
#pragma once

#include <uv.h>

#include <memory>
#include <vector>

#include "src/net/deadlines.h"
#include "src/net/outbox.h"

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
  char* scratch() { return scratch_.get(); }

 private:
  Millis now() const override { return uv_now(&uv_); }
  void wake_at(Millis due) override;

  uv_loop_t uv_;
  uv_timer_t timer_;
  uv_check_t after_events_;
  uv_prepare_t before_waiting_;
  Deadlines deadlines_{*this};
  Graveyard graveyard_;
  Outbox outbox_;
  std::unique_ptr<char[]> scratch_;
};

}  // namespace limpet::net
