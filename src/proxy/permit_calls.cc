#include "src/proxy/permit_calls.h"

#include <utility>

#include "src/proxy/exchange.h"

namespace limpet::proxy {

void PermitCalls::open(std::function<void()> ring) {
  const std::lock_guard lock(mutex_);
  ring_ = std::move(ring);
}

void PermitCalls::close() {
  const std::lock_guard lock(mutex_);
  ring_ = nullptr;
  called_.clear();
}

void PermitCalls::on_called(routing::WaitingPtr waiting) {
  const std::lock_guard lock(mutex_);
  if (!ring_) return;
  called_.push_back(std::move(waiting));
  if (called_.size() == 1) ring_();
}

void PermitCalls::deliver() {
  std::vector<routing::WaitingPtr> called;
  {
    const std::lock_guard lock(mutex_);
    called.swap(called_);
  }
  for (const routing::WaitingPtr& waiting : called) {
    if (waiting->owner() != nullptr) static_cast<Exchange*>(waiting->owner())->on_permit_called();
  }
}

}  // namespace limpet::proxy
