#include "src/status/asker.h"

#include <utility>

namespace limpet::status {

void Asker::start() {
  thread_ = std::thread([this] { run(); });
}

void Asker::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Asker::ask(uint64_t tag, std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({tag, std::move(work)});
  }
  wake_.notify_one();
}

void Asker::drop(uint64_t tag) {
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [tag](const Work& work) { return work.tag == tag; });
}

void Asker::run() {
  for (;;) {
    Work next;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next.run();
  }
}

}  // namespace limpet::status
