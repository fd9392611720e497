// A value for each backend of a pool that threads read and write without a lock, and that appears with its
// slot: fleets grow while the process lives. The value's members are atomics and begin at zero.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "routing/fleet.h"

namespace limpet::routing {

template <class Value>
class PerSlot {
 public:
  PerSlot() = default;
  ~PerSlot() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_acquire);
  }
  PerSlot(const PerSlot&) = delete;
  PerSlot& operator=(const PerSlot&) = delete;

  // Calls use(slot, value) for each value that exists; neighbours of those that were asked for exist too.
  template <class Use>
  void for_each(Use&& use) const {
    for (size_t i = 0; i < chunks_.size(); ++i) {
      Chunk* const values = chunks_[i].load(std::memory_order_acquire);
      if (!values) continue;
      for (size_t j = 0; j < kChunk; ++j) use(static_cast<Slot>(i * kChunk + j), (*values)[j]);
    }
  }

  // Lives as long as this does. `slot` is not kNoSlot.
  Value& operator[](Slot slot) const {
    std::atomic<Chunk*>& chunk = chunks_[slot / kChunk];
    Chunk* values = chunk.load(std::memory_order_acquire);
    if (!values) values = add(chunk);
    return (*values)[slot % kChunk];
  }

 private:
  static constexpr size_t kChunk = 64;
  using Chunk = std::array<Value, kChunk>;

  static Chunk* add(std::atomic<Chunk*>& chunk) {
    auto made = std::make_unique<Chunk>();
    Chunk* first = nullptr;
    if (chunk.compare_exchange_strong(first, made.get(), std::memory_order_acq_rel)) return made.release();
    return first;  // another thread's, which was faster
  }

  mutable std::array<std::atomic<Chunk*>, (kNoSlot + 1) / kChunk> chunks_{};
};

}  // namespace limpet::routing
