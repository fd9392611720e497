#include "routing/rates.h"

#include "routing/relaxed.h"

namespace limpet::routing {
namespace {

// Times go round once in 12 days. A client that comes again after just so long may be taken for one that has
// come lately, and waits for as long as after a burst.
constexpr int kTimeBits = 40;
constexpr uint64_t kTimes = uint64_t{1} << kTimeBits;

constexpr uint64_t kSkew = 1'000'000;  // one thread's clock may be read later than another's, never so much

// Never 0, so that no client's word is.
uint64_t tag_of(uint64_t client) {
  const uint64_t tag = client >> kTimeBits;
  return tag != 0 ? tag : 1;
}

uint64_t packed(uint64_t tag, uint64_t time) { return tag << kTimeBits | time % kTimes; }

// How far its bucket's time is ahead; 0: the bucket is full.
uint64_t ahead(uint64_t word, uint64_t now_us, const Rate& rate) {
  const uint64_t by = (word - now_us) % kTimes;
  return word == 0 || by > rate.bucket_us + kSkew ? 0 : by;
}

}  // namespace

uint64_t Rates::take(uint64_t client, uint64_t now_us, const Rate& rate) {
  Set& set = sets_[client % kSets];
  const uint64_t tag = tag_of(client);
  for (;;) {
    Place place = place_for(set, tag, now_us, rate);
    const uint64_t then = place.ahead + rate.interval_us;
    if (then > rate.bucket_us) return then - rate.bucket_us;
    if (place.way->compare_exchange_strong(place.word, packed(tag, now_us + then), kRelaxed)) return 0;
  }
}

// The client's own, or that of the one who is least ahead.
Rates::Place Rates::place_for(Set& set, uint64_t tag, uint64_t now_us, const Rate& rate) {
  Place best;
  uint64_t least = 0;
  for (std::atomic<uint64_t>& way : set.ways) {
    const uint64_t word = way.load(kRelaxed), by = ahead(word, now_us, rate);
    if (word >> kTimeBits == tag) return {&way, word, by};
    if (best.way != nullptr && by >= least) continue;
    best = {&way, word};
    least = by;
  }
  return best;
}

}  // namespace limpet::routing
