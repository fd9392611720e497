#include "routing/homes.h"

namespace limpet::routing {

HomeCensus HomeCensus::operator-(const HomeCensus& earlier) const {
  HomeCensus since = *this;
  since.books = books - earlier.books;
  since.arrived -= earlier.arrived;
  since.failed_back -= earlier.failed_back;
  return since;
}

bool Homes::fits(const Home& home, uint32_t load, uint32_t limit) {
  const uint64_t returned = home.returned.load(kRelaxed);
  return limit == 0 || (returned < limit && load < returned + limit);
}

bool Homes::reserve(Slot home, uint32_t limit) {
  Home& it = at(home);
  if (fits(it, it.load.fetch_add(1, kRelaxed), limit)) return true;
  release(home);
  return false;
}

void Homes::add(Slot home, bool returned, bool took_reservation) {
  Home& it = at(home);
  it.live.fetch_add(1, kRelaxed);
  if (returned) it.returned.fetch_add(1, kRelaxed);
  if (!took_reservation) it.load.fetch_add(1, kRelaxed);
}

void Homes::remove(Slot home, bool returned) {
  Home& it = at(home);
  it.live.fetch_sub(1, kRelaxed);
  if (returned) it.returned.fetch_sub(1, kRelaxed);
  it.load.fetch_sub(1, kRelaxed);
}

void Homes::arrive(Slot home, bool returned, bool counts) {
  add(home, returned, true);
  if (counts) at(home).arrived.fetch_add(1, kRelaxed);
}

void Homes::count(Slot home, Event event, bool returned) {
  Home& it = at(home);
  it.all[static_cast<size_t>(event)].fetch_add(1, kRelaxed);
  if (returned) it.of_returned[static_cast<size_t>(event)].fetch_add(1, kRelaxed);
}

void Homes::set_in_service(Slot home, bool in_service) {
  Home& it = at(home);
  const bool was_out = it.out.exchange(!in_service, kRelaxed);
  if (!was_out || !in_service) return;
  constexpr auto kRecovered = static_cast<size_t>(Event::recovered);
  it.all[kRecovered].fetch_add(it.live.load(kRelaxed), kRelaxed);
  it.of_returned[kRecovered].fetch_add(it.returned.load(kRelaxed), kRelaxed);
}

HomeCensus Homes::census(Slot home) const {
  const Home& it = at(home);
  HomeCensus census;
  for (size_t i = 0; i < kEvents; ++i) {
    census.books.all.counts[i] = it.all[i].load(kRelaxed);
    census.books.returned.counts[i] = it.of_returned[i].load(kRelaxed);
  }
  census.arrived = it.arrived.load(kRelaxed);
  census.failed_back = it.failed_back.load(kRelaxed);
  census.live = it.live.load(kRelaxed);
  census.live_returned = it.returned.load(kRelaxed);
  census.in_service = in_service(home);
  return census;
}

Homes::Sum Homes::sum() const {
  constexpr auto kRecovered = static_cast<size_t>(Event::recovered);
  Sum sum;
  homes_.for_each([&](Slot, const Home& home) {
    sum.recovered += home.all[kRecovered].load(kRelaxed);
    sum.recovered_returned += home.of_returned[kRecovered].load(kRelaxed);
    if (!home.out.load(kRelaxed)) return;
    sum.at_risk += home.live.load(kRelaxed);
    sum.at_risk_returned += home.returned.load(kRelaxed);
  });
  return sum;
}

}  // namespace limpet::routing
