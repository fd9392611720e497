#include "src/net/calls.h"

namespace limpet::net {

Calls::Calls(uv_loop_t* loop) {
  uv_async_init(loop, &wake_, [](uv_async_t* wake) { static_cast<Calls*>(wake->data)->run(true); });
  wake_.data = this;
}

bool Calls::post(std::function<void(bool)> work) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  waiting_.push_back(std::move(work));
  uv_async_send(&wake_);
  return true;
}

void Calls::run(bool open) {
  std::vector<std::function<void(bool)>> works;
  {
    const std::lock_guard lock(mutex_);
    works.swap(waiting_);
  }
  for (auto& work : works) work(open);
}

void Calls::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  run(false);
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
}

}  // namespace limpet::net
