#include "routing/ledger.h"

namespace limpet::routing {

const char* text(Event event) {
  constexpr std::array<const char*, kEvents> kNames = {
      "opened",  "restored", "expired",    "logged_out", "lost",      "abandoned", "unbound",   "evicted",
      "carried", "moved",    "reassigned", "renewed",    "recovered", "confirmed", "restarted", "uncertain"};
  return kNames[static_cast<size_t>(event)];
}

uint64_t Tally::ended() const {
  uint64_t sum = 0;
  for (size_t i = static_cast<size_t>(Event::expired); i <= static_cast<size_t>(Event::evicted); ++i)
    sum += counts[i];
  return sum;
}

Tally& Tally::operator+=(const Tally& other) {
  for (size_t i = 0; i < kEvents; ++i) counts[i] += other.counts[i];
  return *this;
}

Tally Tally::operator-(const Tally& earlier) const {
  Tally difference;
  for (size_t i = 0; i < kEvents; ++i) difference.counts[i] = counts[i] - earlier.counts[i];
  return difference;
}

Books& Books::operator+=(const Books& other) {
  all += other.all;
  returned += other.returned;
  return *this;
}

Books Books::operator-(const Books& earlier) const {
  return {all - earlier.all, returned - earlier.returned};
}

}  // namespace limpet::routing
