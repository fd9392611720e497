#include "src/proxy/h2_backends.h"

#include <memory>
#include <utility>

#include "src/proxy/backend_connections.h"

namespace limpet::proxy {

H2Backends::~H2Backends() {
  for (size_t slot = 0; slot < slots_.size(); ++slot)
    for_each(slots_[slot].first, [](H2Backend& one) { one.close(false); });
}

template <class Tell>
void H2Backends::for_each(H2Backend* first, Tell&& tell) {
  while (first != nullptr) tell(*std::exchange(first, first->next_));
}

BackendPtr H2Backends::take(routing::Slot slot, BackendEvents* events) {
  for (H2Backend* one = at(slot).first; one != nullptr; one = one->next_) {
    if (one->is_connecting()) continue;
    if (H2Call* const call = one->call(events)) return BackendPtr(call);
  }
  return nullptr;
}

BackendPtr H2Backends::dial(const conf::Address& address, routing::Slot slot, unsigned first,
                            BackendEvents* events, net::Millis patience, int& error) {
  H2Backend*& head = at(slot).first;
  for (H2Backend* one = head; one != nullptr; one = one->next_) {
    if (!one->is_connecting()) continue;
    if (H2Call* const call = one->call(events)) return BackendPtr(call);
  }
  auto made = std::make_unique<H2Backend>(home_, slot, deadlines_);
  if (!made->dial(address, first, patience, error)) return nullptr;
  made->next_ = head;
  if (head != nullptr) head->prev_ = made.get();
  head = made.release();
  return BackendPtr(head->call(events));
}

void H2Backends::retire(routing::Slot slot) {
  at(slot).most_streams = SIZE_MAX;
  for_each(at(slot).first, [](H2Backend& one) { one.retire(); });
}

void H2Backends::close_idle() {
  for (const AtSlot& at : slots_)
    for_each(at.first, [](H2Backend& one) {
      if (one.is_idle()) one.close(false);
    });
}

void H2Backends::give_up_idle(int below) {
  for (const AtSlot& at : slots_)
    for_each(at.first, [below](H2Backend& one) {
      if (one.is_idle() && one.descriptor() < below) one.close(true);
    });
}

void H2Backends::drop(H2Backend& closed) {
  (closed.prev_ != nullptr ? closed.prev_->next_ : at(closed.slot_).first) = closed.next_;
  if (closed.next_ != nullptr) closed.next_->prev_ = closed.prev_;
  home_.bury(std::unique_ptr<H2Backend>(&closed));
}

}  // namespace limpet::proxy
