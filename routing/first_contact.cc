#include "routing/first_contact.h"

#include "routing/relaxed.h"

namespace limpet::routing {
namespace {

// One client's first contact, as it is packed into 64 bits. Its seconds go round once in six days, so a
// client may follow what it did to the second so many days ago: that does no harm.
struct Contact {
  static constexpr int kTagBits = 24, kSlotBits = 16, kTimeBits = 19, kLeftBits = 5;
  static_assert(kTagBits + kSlotBits + kTimeBits + kLeftBits == 64);
  static_assert(FirstContacts::kFollowers < uint32_t{1} << kLeftBits);
  static constexpr uint64_t kTimes = uint64_t{1} << kTimeBits;

  uint64_t tag = 0;    // of the client: bits that do not choose the set
  Slot slot = 0;       // where it was placed
  uint64_t began = 0;  // seconds
  uint64_t left = 0;   // of those that may follow; 0 as well: there is no contact

  static uint64_t tag_of(uint64_t client) { return client >> (64 - kTagBits); }
  static Contact of(uint64_t client, Slot slot, uint32_t now) {
    return {tag_of(client), slot, now % kTimes, FirstContacts::kFollowers};
  }
  static Contact unpacked(uint64_t word) {
    return {word >> (64 - kTagBits), static_cast<Slot>(word >> (kTimeBits + kLeftBits)),
            (word >> kLeftBits) % kTimes, word % (uint64_t{1} << kLeftBits)};
  }
  uint64_t packed() const {
    return tag << (64 - kTagBits) | uint64_t{slot} << (kTimeBits + kLeftBits) | began << kLeftBits | left;
  }

  bool is_over(uint32_t now) const { return left == 0 || age(now) > 2 * FirstContacts::kWindow; }
  // And kWindow more, for the clock of the thread that began it may be ahead of this one's.
  uint64_t age(uint32_t now) const { return (uint64_t{now} + FirstContacts::kWindow - began) % kTimes; }
  bool is_of(uint64_t client) const { return tag == tag_of(client); }
  Contact after_one_more() const { return {tag, slot, began, left - 1}; }
};

}  // namespace

Slot FirstContacts::follow(uint64_t client, uint32_t now) {
  for (std::atomic<uint64_t>& way : set_of(client).ways) {
    uint64_t word = way.load(kRelaxed);
    for (;;) {
      const Contact contact = Contact::unpacked(word);
      if (!contact.is_of(client) || contact.is_over(now)) break;
      if (way.compare_exchange_weak(word, contact.after_one_more().packed(), kRelaxed)) return contact.slot;
    }
  }
  return kNoSlot;
}

// Threads that look at the same set at once choose the same place in it, so that only one of them gets it,
// and the others look again.
Slot FirstContacts::begin(uint64_t client, Slot slot, Slot before, uint32_t now) {
  Set& set = set_of(client);
  for (;;) {
    Place place = place_for(set, client, before, now);
    const Contact found = Contact::unpacked(place.word);
    const Contact wanted = place.is_followed ? found.after_one_more() : Contact::of(client, slot, now);
    if (place.way->compare_exchange_strong(place.word, wanted.packed(), kRelaxed)) return wanted.slot;
  }
}

// A contact of this client that goes on, to be followed, or replaced where it leads to `before`; else one
// that is over; else the oldest.
FirstContacts::Place FirstContacts::place_for(Set& set, uint64_t client, Slot before, uint32_t now) {
  Place best;
  uint64_t best_age = 0;
  for (std::atomic<uint64_t>& way : set.ways) {
    const uint64_t word = way.load(kRelaxed);
    const Contact contact = Contact::unpacked(word);
    const bool is_over = contact.is_over(now);
    if (contact.is_of(client) && !is_over) return {&way, word, contact.slot != before};
    const uint64_t age = is_over ? Contact::kTimes : contact.age(now);
    if (best.way != nullptr && age <= best_age) continue;
    best = {&way, word};
    best_age = age;
  }
  return best;
}

}  // namespace limpet::routing
