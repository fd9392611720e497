#include "src/net/loop.h"

namespace limpet::net {

Loop::Loop() : scratch_(new char[kReadSize]) {
  uv_loop_init(&uv_);
  uv_.data = this;
  uv_timer_init(&uv_, &timer_);
  uv_check_init(&uv_, &after_events_);
  uv_prepare_init(&uv_, &before_waiting_);
  uv_idle_init(&uv_, &poll_again_);
  after_events_.data = before_waiting_.data = timer_.data = this;
  uv_check_start(&after_events_, [](uv_check_t* check) { static_cast<Loop*>(check->data)->after_events(); });
  uv_prepare_start(&before_waiting_,
                   [](uv_prepare_t* prepare) { static_cast<Loop*>(prepare->data)->outbox_.send(); });
}

Loop::~Loop() {
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_again_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&after_events_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&before_waiting_), nullptr);
  uv_run(&uv_, UV_RUN_DEFAULT);
  graveyard_.clear();
  uv_loop_close(&uv_);
}

void Loop::run() { uv_run(&uv_, UV_RUN_DEFAULT); }
void Loop::stop() { uv_stop(&uv_); }

void Loop::wake_at(Millis due) {
  const Millis now = uv_now(&uv_);
  due_ = due;
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Loop*>(timer->data)->on_due(); },
      due > now ? due - now : 0, 0);
}

// libuv looks at its timers without having read what came since it waited, or before.
void Loop::on_due() {
  is_due_ = true;
  poll_again();
}

void Loop::after_events() {
  polls_.end();
  if (is_due_) {
    is_due_ = false;
    if (uv_now(&uv_) > due_ + kLate) late_at_ = uv_now(&uv_);
    deadlines_.advance();
  }
  graveyard_.clear();
  polls_.awaited() ? poll_again() : static_cast<void>(uv_idle_stop(&poll_again_));
}

void Loop::poll_again() {
  uv_idle_start(&poll_again_, [](uv_idle_t*) {});
}

}  // namespace limpet::net
