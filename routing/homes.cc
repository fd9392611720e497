#include "routing/homes.h"

namespace limpet::routing {

HomeCensus HomeCensus::operator-(const HomeCensus& earlier) const {
  HomeCensus since = *this;
  since.books = books - earlier.books;
  since.arrived -= earlier.arrived;
  since.lost_in_service = lost_in_service - earlier.lost_in_service;
  since.failed_back -= earlier.failed_back;
  since.lost_by_failback -= earlier.lost_by_failback;
  since.at_risk.put -= earlier.at_risk.put;
  since.at_risk.joined -= earlier.at_risk.joined;
  since.at_risk.books = at_risk.books - earlier.at_risk.books;
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

uint16_t Homes::add(Slot home, bool returned, bool took_reservation) {
  if (!took_reservation) at(home).load.fetch_add(1, kRelaxed);
  return join(home, returned, std::nullopt);
}

uint16_t Homes::rejoin(Slot home, bool returned, uint16_t spell) {
  at(home).load.fetch_add(1, kRelaxed);
  return join(home, returned, spell);
}

uint16_t Homes::add_at_risk(Slot home, bool returned, bool took_reservation) {
  if (!took_reservation) at(home).load.fetch_add(1, kRelaxed);
  return join(home, returned, static_cast<uint16_t>(spell(home) | 1));  // of no spell that is served
}

uint16_t Homes::join(Slot home, bool returned, std::optional<uint16_t> since) {
  Home& it = at(home);
  it.live.fetch_add(1, kRelaxed);
  if (returned) it.returned.fetch_add(1, kRelaxed);
  const std::lock_guard lock(it.mutex);
  const uint16_t spell = since.value_or(this->spell(home));
  if (is_at_risk(home, spell)) {
    ++it.at_risk.live;
    it.at_risk.returned += returned;
    ++it.at_risk.joined;
  } else {
    ++it.safe;
    it.safe_returned += returned;
  }
  return spell;
}

uint16_t Homes::arrive(Slot home, bool returned, bool counts, bool at_risk) {
  if (counts) at(home).arrived.fetch_add(1, kRelaxed);
  return at_risk ? add_at_risk(home, returned, true) : add(home, returned, true);
}

void Homes::remove(Slot home, bool returned, uint16_t spell, Event how, bool called_back) {
  Home& it = at(home);
  it.live.fetch_sub(1, kRelaxed);
  if (returned) it.returned.fetch_sub(1, kRelaxed);
  it.load.fetch_sub(1, kRelaxed);
  const std::lock_guard lock(it.mutex);
  if (is_at_risk(home, spell)) {
    --it.at_risk.live;
    it.at_risk.returned -= returned;
    it.at_risk.books.count(how, returned);
    return;
  }
  --it.safe;
  it.safe_returned -= returned;
  if (how != Event::lost && how != Event::carried) return;
  it.lost_in_service.count(how, returned);
  if (called_back) ++(how == Event::lost ? it.lost_by_failback : it.failed_back);
}

void Homes::came_back(Slot home, uint16_t spell) {
  Home& it = at(home);
  it.returned.fetch_add(1, kRelaxed);
  const std::lock_guard lock(it.mutex);
  if (is_at_risk(home, spell)) {
    ++it.at_risk.returned;
  } else {
    ++it.safe_returned;
  }
}

bool Homes::recover(Slot home, bool returned, uint16_t& spell) {
  Home& it = at(home);
  const std::lock_guard lock(it.mutex);
  if (!in_service(home) || !is_at_risk(home, spell)) return false;
  spell = this->spell(home);
  --it.at_risk.live;
  it.at_risk.returned -= returned;
  it.at_risk.books.count(Event::recovered, returned);
  ++it.safe;
  it.safe_returned += returned;
  return true;
}

void Homes::count(Slot home, Event event, bool returned) {
  Home& it = at(home);
  it.all[static_cast<size_t>(event)].fetch_add(1, kRelaxed);
  if (returned) it.of_returned[static_cast<size_t>(event)].fetch_add(1, kRelaxed);
}

void Homes::set_in_service(Slot home, bool in_service) {
  Home& it = at(home);
  const std::lock_guard lock(it.mutex);
  if (this->in_service(home) != in_service) begin_spell(it, 1);
}

void Homes::put_at_risk(Slot home) {
  Home& it = at(home);
  const std::lock_guard lock(it.mutex);
  if (in_service(home)) begin_spell(it, 2);
}

// Whoever was safe is not in another spell.
void Homes::begin_spell(Home& home, unsigned steps) {
  const auto spell = static_cast<uint16_t>(home.spell.load(kRelaxed) + steps);
  const uint64_t change = changes_.fetch_add(1, kRelaxed) + 1;
  home.changed.store(change, kRelaxed);
  if (!is_served(spell)) home.left.store(change, kRelaxed);
  home.spell.store(spell, kRelaxed);
  home.at_risk.live += home.safe;
  home.at_risk.returned += home.safe_returned;
  home.at_risk.put += home.safe;
  home.safe = home.safe_returned = 0;
}

HomeCensus Homes::census(Slot home) const {
  Home& it = at(home);
  HomeCensus census;
  for (size_t i = 0; i < kEvents; ++i) {
    census.books.all.counts[i] = it.all[i].load(kRelaxed);
    census.books.returned.counts[i] = it.of_returned[i].load(kRelaxed);
  }
  census.arrived = it.arrived.load(kRelaxed);
  census.live = it.live.load(kRelaxed);
  census.live_returned = it.returned.load(kRelaxed);
  census.in_service = in_service(home);
  const std::lock_guard lock(it.mutex);
  census.at_risk = it.at_risk;
  census.lost_in_service = it.lost_in_service;
  census.failed_back = it.failed_back;
  census.lost_by_failback = it.lost_by_failback;
  return census;
}

Homes::Sum Homes::sum() const {
  Sum sum;
  homes_.for_each([&](Slot, Home& home) {
    const std::lock_guard lock(home.mutex);
    sum.at_risk += home.at_risk.live;
    sum.at_risk_returned += home.at_risk.returned;
  });
  return sum;
}

}  // namespace limpet::routing
