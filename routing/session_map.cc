#include "routing/session_map.h"

namespace limpet::routing {
namespace {

// At 4/5 full a search that fails looks at 13 places, next to each other (Knuth, section 6.4).
constexpr size_t kFullNumerator = 4, kFullDenominator = 5;
constexpr size_t kFirstCapacity = 16;

}  // namespace

size_t SessionMap::first_place(uint64_t key) const {
  return static_cast<size_t>(static_cast<unsigned __int128>(key) * capacity_ >> 64);
}

Entry* SessionMap::find(uint64_t key) {
  if (capacity_ == 0) return nullptr;
  for (size_t place = first_place(key);; place = after(place)) {
    Entry& entry = entries_[place];
    if (entry.kind == Entry::Kind::none) return nullptr;
    if (entry.key == key) return &entry;
  }
}

void SessionMap::insert(const Entry& entry) {
  if ((size_ + 1) * kFullDenominator > capacity_ * kFullNumerator)
    resize(capacity_ == 0 ? kFirstCapacity : capacity_ + capacity_ / 6 + 1);
  put(entry);
  ++size_;
}

void SessionMap::put(const Entry& entry) {
  size_t place = first_place(entry.key);
  while (entries_[place].kind != Entry::Kind::none) place = after(place);
  entries_[place] = entry;
}

void SessionMap::fit() {
  if (capacity_ > kFirstCapacity && size_ * 5 < capacity_ * 3) resize(kFirstCapacity + size_ * 4 / 3);
}

void SessionMap::resize(size_t capacity) {
  const auto old = std::move(entries_);
  const size_t old_capacity = capacity_;
  capacity_ = capacity;
  entries_ = std::make_unique<Entry[]>(capacity_);
  for (size_t place = 0; place < old_capacity; ++place) {
    if (old[place].kind != Entry::Kind::none) put(old[place]);
  }
}

void SessionMap::erase(Entry* entry) {
  size_t hole = static_cast<size_t>(entry - entries_.get());
  for (size_t place = after(hole); entries_[place].kind != Entry::Kind::none; place = after(place)) {
    const size_t first = first_place(entries_[place].key);
    // An entry whose first place lies behind the hole is found without passing it, and stays.
    const bool stays = hole < place ? (first > hole && first <= place) : (first > hole || first <= place);
    if (stays) continue;
    entries_[hole] = entries_[place];
    hole = place;
  }
  entries_[hole] = Entry{};
  --size_;
}

}  // namespace limpet::routing
