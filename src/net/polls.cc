#include "src/net/polls.h"

#include <algorithm>

namespace limpet::net {

void Polls::forget(const Waiter& waiter) {
  for (std::vector<Waiter*>* list : {&waiting_, &told_})
    std::replace_if(list->begin(), list->end(), [&](const Waiter* one) { return one == &waiter; }, nullptr);
}

void Polls::end() {
  told_.swap(waiting_);
  for (size_t i = 0; i < told_.size(); ++i) {
    if (told_[i] != nullptr) told_[i]->on_polled();
  }
  told_.clear();
  ++handled_;
}

}  // namespace limpet::net
