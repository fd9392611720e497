#include "src/net/deadlines.h"

#include <algorithm>
#include <bit>

namespace limpet::net {

void Deadline::set(Millis due) {
  due_ = due;
  if (filed_ <= due) return;  // it comes up no later than it should, and is filed anew then
  unlink();
  wheel_.file(*this);
}

void Deadline::unlink() {
  node_.prev->next = node_.next;
  node_.next->prev = node_.prev;
  node_.prev = node_.next = &node_;
  filed_ = kNever;
}

void Deadlines::append(Links& list, Links& node) {
  node.prev = list.prev;
  node.next = &list;
  list.prev->next = &node;
  list.prev = &node;
}

void Deadlines::file(Deadline& deadline) {
  // Where nothing is filed, what has passed meanwhile held none.
  if (armed_ == kNever) done_ = alarm_.now() / kTick;
  const Millis furthest = done_ + kSlots - 1;
  const Millis tick = std::clamp((deadline.due_ + kTick - 1) / kTick, done_ + 1, furthest);
  const size_t slot = tick % kSlots;
  deadline.node_.of = &deadline;
  deadline.filed_ = tick * kTick;
  append(slots_[slot], deadline.node_);
  occupied_[slot / 64] |= uint64_t{1} << (slot % 64);
  if (deadline.filed_ < armed_) {
    armed_ = deadline.filed_;
    alarm_.wake_at(armed_);
  }
}

void Deadlines::advance() {
  armed_ = 0;  // nobody is told while the slots are being gone through
  const Millis now = alarm_.now();
  const Millis last = now / kTick;
  if (last > done_ + kSlots) done_ = last - kSlots;  // after a long pause one lap visits every slot
  while (done_ < last) {
    ++done_;
    const size_t slot = done_ % kSlots;
    occupied_[slot / 64] &= ~(uint64_t{1} << (slot % 64));
    Links due;
    if (slots_[slot].next == &slots_[slot]) continue;
    due.next = slots_[slot].next;
    due.prev = slots_[slot].prev;
    due.next->prev = due.prev->next = &due;
    slots_[slot].next = slots_[slot].prev = &slots_[slot];
    while (due.next != &due) {
      Deadline& deadline = *static_cast<Deadline::Node*>(due.next)->of;
      deadline.unlink();
      if (deadline.due_ == kNever) continue;
      if (deadline.due_ > now) {
        file(deadline);
        continue;
      }
      deadline.due_ = kNever;
      deadline.owner_->on_deadline();
    }
  }
  armed_ = next_due();
  if (armed_ != kNever) alarm_.wake_at(armed_);
}

Millis Deadlines::next_due() const {
  for (size_t step = 1; step <= kSlots;) {
    const size_t slot = (done_ + step) % kSlots;
    const uint64_t word = occupied_[slot / 64] >> (slot % 64);
    if (word != 0) {
      const size_t found = step + static_cast<size_t>(std::countr_zero(word));
      return found <= kSlots ? (done_ + found) * kTick : kNever;
    }
    step += 64 - slot % 64;
  }
  return kNever;
}

}  // namespace limpet::net
