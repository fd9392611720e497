#include "routing/permits.h"

#include <utility>

namespace limpet::routing {

Permit& Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  of_ = std::move(other.of_);
  slot_ = other.slot_;
  return *this;
}

void Permit::give_back() {
  if (const auto of = std::exchange(of_, nullptr)) of->give_back(slot_);
}

void Permits::follow(const Fleet& fleet) {
  Called called;
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < fleet.backends.size(); ++i) {
      const Backend& backend = fleet.backends[i];
      AtSlot& at = at_[static_cast<Slot>(i)];
      at.most.store(backend.max_connections);
      at.serves = !backend.is_free() && backend.serves_its_own();
      if (backend.max_connections == 0 || !at.serves) {
        while (!at.queue.empty()) call_first(at, false, called);
      } else {
        serve(at, called);
      }
    }
  }
  tell(called);
}

bool Permits::take_one(AtSlot& at) {
  uint32_t taken = at.taken.load();
  while (taken < at.most.load()) {
    if (at.taken.compare_exchange_weak(taken, taken + 1)) return true;
  }
  return false;
}

bool Permits::take(Slot slot, Permit& permit) {
  AtSlot& at = at_[slot];
  if (at.most.load() == 0) return true;
  if (at.waiting.load() != 0 || !take_one(at)) return false;
  permit = Permit(shared_from_this(), slot);
  return true;
}

bool Permits::has_free(Slot slot) const {
  const AtSlot& at = at_[slot];
  const uint32_t most = at.most.load(std::memory_order_relaxed);
  return most == 0 || (taken(slot) < most && waiting(slot) == 0);
}

double Permits::crowd(Slot slot) const {
  const uint32_t most = at_[slot].most.load(std::memory_order_relaxed);
  return most == 0 ? 0 : static_cast<double>(uint64_t{taken(slot)} + waiting(slot)) / most;
}

// Whoever begins to wait counts itself before it looks whether a permit is free, and whoever gives one back
// does so before it looks whether anybody waits: one of both sees the other.
void Permits::give_back(Slot slot) {
  AtSlot& at = at_[slot];
  at.taken.fetch_sub(1);
  if (at.waiting.load() == 0) return;
  Called called;
  {
    const std::lock_guard lock(mutex_);
    serve(at, called);
  }
  tell(called);
}

WaitingPtr Permits::wait(Slot slot, uint64_t now_ms, std::shared_ptr<Waiting::Listener> listener,
                         void* owner) {
  auto made = std::make_shared<Waiting>(slot, std::move(listener), owner);
  AtSlot& at = at_[slot];
  Called called;
  {
    const std::lock_guard lock(mutex_);
    add(at, made, now_ms);
    if (at.most.load() == 0 || !at.serves) {
      call_first(at, false, called);
    } else {
      serve(at, called);
    }
  }
  tell(called);
  return made;
}

Permit Permits::end(Waiting& waiting) {
  const std::lock_guard lock(mutex_);
  waiting.owner_ = nullptr;
  if (waiting.state_ == Waiting::State::waits) remove(at_[waiting.slot_], waiting);
  const bool has_permit = std::exchange(waiting.has_permit_, false);
  waiting.state_ = Waiting::State::over;
  return has_permit ? Permit(shared_from_this(), waiting.slot_) : Permit();
}

void Permits::serve(AtSlot& at, Called& called) {
  while (!at.queue.empty() && take_one(at)) call_first(at, true, called);
}

void Permits::call_first(AtSlot& at, bool has_permit, Called& called) {
  called.push_back(at.queue.begin()->second);
  Waiting& first = *called.back();
  remove(at, first);
  first.state_ = Waiting::State::called;
  first.has_permit_ = has_permit;
}

void Permits::add(AtSlot& at, const WaitingPtr& waiting, uint64_t now_ms) {
  waiting->number_ = ++last_number_;
  at.queue.emplace(waiting->number_, waiting);
  since_.emplace(waiting->number_, now_ms);
  at.waiting.fetch_add(1);
  note_longest();
}

void Permits::remove(AtSlot& at, const Waiting& waiting) {
  at.queue.erase(waiting.number_);
  since_.erase(waiting.number_);
  at.waiting.fetch_sub(1);
  note_longest();
}

void Permits::note_longest() { longest_since_.store(since_.empty() ? 0 : since_.begin()->second); }

void Permits::tell(const Called& called) {
  for (const WaitingPtr& waiting : called) waiting->listener_->on_called(waiting);
}

uint64_t Permits::longest_wait(uint64_t now_ms) const {
  const uint64_t since = longest_since_.load(std::memory_order_relaxed);
  return since != 0 && now_ms > since ? now_ms - since : 0;
}

}  // namespace limpet::routing
