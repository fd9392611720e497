// What the clients of a world see and conclude, and what the ledger has to say about it.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/routing/session_world.h"

namespace limpet::routing::test {

using Kind = conf::AffinityKind;

// ---- What clients see

void World::learn(const Flight& flight, Slot server, const Words& words, Slot home) {
  const bool guessed = flight.identity.tracked && tracks(Kind::session_id) && !flight.choice.known &&
                       (flight.choice.reason == Reason::hash || flight.choice.reason == Reason::token);
  const bool has_new_id = !words.new_id.empty() && words.new_id != flight.id;
  const bool deletes = !words.sets.empty() && words.new_id.empty();
  if (guessed && has_new_id) ++seen_.guesses_missed;
  if (flight.session == kNone || !sessions_[flight.session].live) return;
  Session& session = sessions_[flight.session];
  const uint64_t found = versions_found(server, flight.session);
  const Slot data_home = session.data_home();
  const bool knows = server == data_home;
  const bool counts = flight.from != server && (flight.from == data_home || server == home);
  if (!knows && !counts) {
    ++seen_.ignored;
    return;
  }
  if (!knows && server != home) ++seen_.late;
  if (session.known && !knows) {
    const bool is_backup = fleet_.backends[session.at].backup == server;
    const bool costs = !data_moves() && !(pool_.storage == conf::Storage::backup && is_backup);
    const bool logged_out = found != session.version;
    if (!(costs && flight.doubted)) {
      ++(logged_out ? seen_.logouts : seen_.moves);
      if (is_backup) ++seen_.to_backup;
      if (logged_out && (has_new_id || deletes)) ++seen_.confirmed;
    }
    if (logged_out && deletes) return end(flight.session);
    // Where the application says nothing, nobody knows whether it has taken the id up.
    const bool is_silent = tracks(Kind::session_id) && words.sets.empty() && !pool_.session_id.adopts_ids;
    if (costs && is_silent && !flight.doubted) return end(flight.session);
  }
  if (knows && flight.tells && found != session.version && (has_new_id || deletes)) {
    ++seen_.logouts;
    ++seen_.restarts;
    ++seen_.confirmed;
    if (deletes) return end(flight.session);
  }
  session.known = true;
  session.at = server;
  session.version = ++last_version_;
  write(server, flight.session, session.version);
}

void World::learn_of_new_session(const Flight& flight, Slot server, const Words& words, bool renewed,
                                 const std::optional<std::string>& token) {
  Client& client = clients_[flight.client];
  if (token) client.token = "limpet_shop=" + *token;
  if (tracks(Kind::cookie)) {
    if (!token) return;
    const uint64_t key = key_of({.cookie = client.token});
    if (flight.session != kNone && key == sessions_[flight.session].key) {
      client.session = flight.session;
      return;
    }
    client.session = add_session(key);
  } else if (tracks(Kind::session_id) && !words.sets.empty()) {
    if (words.new_id.empty()) {
      if (client.id != flight.id) return;
      client.id.clear();
      client.session = kNone;
      return;
    }
    client.id = words.new_id;
    const uint64_t key = key_of({.cookie = "JSESSIONID=" + client.id});
    const size_t known = live_session(key);
    client.session = renewed ? flight.session : known != kNone ? known : add_session(key);
    if (renewed) aliases_[flight.identity.key] = key;
    aliases_.erase(key);
    sessions_[client.session].key = key;
    sessions_[client.session].id = client.id;
    if (sessions_[client.session].live) return;
  } else {
    return;
  }
  Session& session = sessions_[client.session];
  session.live = session.known = true;
  live_.push_back(client.session);
  session.at = server;
  session.version = ++last_version_;
  write(server, client.session, session.version);
}

size_t World::add_session(uint64_t key) {
  Session session;
  session.key = key;
  session.live = false;
  sessions_.push_back(session);
  return sessions_.size() - 1;
}

size_t World::live_session(uint64_t key) const {
  const auto at =
      std::find_if(live_.begin(), live_.end(), [&](size_t number) { return sessions_[number].key == key; });
  return at == live_.end() ? kNone : *at;
}

// Which a key leads to, or a former key.
size_t World::session_of(uint64_t key) const {
  for (size_t hops = 0; hops <= aliases_.size(); ++hops) {
    if (const size_t session = live_session(key); session != kNone) return session;
    const auto alias = aliases_.find(key);
    if (alias == aliases_.end()) return kNone;
    key = alias->second;
  }
  return kNone;
}

void World::end(size_t number) {
  sessions_[number].live = false;
  live_.erase(std::find(live_.begin(), live_.end(), number));
  forget(number);
}

// Requests on their way are of the session that was: nobody waits for them any more.
void World::forget(size_t number) {
  sessions_[number].known = false;
  for (size_t at = flights_.size(); at-- > 0;) {
    const Flight& flight = flights_[at];
    const bool leads_there = flight.identity.tracked && session_of(flight.identity.key) == number;
    if (flight.session == number || leads_there) drop(at);
  }
}

void World::see_endings() {
  const uint64_t endings = ended_otherwise(table().census());
  if (endings == endings_) return;
  for (size_t i = live_.size(); i-- > 0;) {
    if (!is_live(sessions_[live_[i]].key)) end(live_[i]);
  }
  endings_ = ended_otherwise(table().census());
}

uint64_t World::versions_found(Slot server, size_t session) {
  const auto& versions = data_moves() ? store_ : servers_[server].versions;
  const auto at = versions.find(session);
  return at == versions.end() ? 0 : at->second;
}

void World::write(Slot server, size_t session, uint64_t version) {
  (data_moves() ? store_ : servers_[server].versions)[session] = version;
}

// ---- What holds

void World::check() {
  const Census census = table().census();
  REQUIRE(is_balanced(census, seen_.returns));
  REQUIRE(census.live == live_.size());
  const Tally& all = census.books.all;
  switch (pool_.storage) {
    case conf::Storage::local:
      REQUIRE(all[Event::carried] == 0);
      break;
    case conf::Storage::backup:
      break;
    case conf::Storage::replicated:
    case conf::Storage::shared:
      REQUIRE(all[Event::lost] == 0);
      REQUIRE(all[Event::opened] + all[Event::restored] == all.begun());
      break;
  }
  REQUIRE(memory_->guesses_missed == seen_.guesses_missed);
  REQUIRE(all[Event::restarted] == seen_.restarts);
  const uint64_t changes = seen_.logouts + seen_.moves;
  switch (pool_.storage) {
    case conf::Storage::local:
      REQUIRE(all[Event::lost] == seen_.logouts);
      REQUIRE(all[Event::confirmed] == seen_.confirmed);
      REQUIRE(seen_.moves == 0);
      break;
    case conf::Storage::backup:
      REQUIRE(all[Event::carried] == seen_.to_backup);
      REQUIRE(all[Event::lost] == changes - seen_.to_backup);
      break;
    case conf::Storage::replicated:
    case conf::Storage::shared:
      REQUIRE(all[Event::carried] == seen_.moves);
      REQUIRE(seen_.logouts == 0);
      break;
  }
}

void World::check_fully() {
  std::map<Slot, uint32_t> load, live, going;
  for (const Flight& flight : flights_) load[flight.choice.slot] += flight.choice.reserved;
  uint64_t at_risk = 0;
  for (const size_t number : live_) {
    const Session& session = sessions_[number];
    const auto found = table().find_and_touch(session.key, now_, SessionTable::Visit::retry);
    const Slot booked_at = found.data_home != kNoSlot ? found.data_home : found.home;
    ++live[booked_at];
    ++load[booked_at];
    ++going[found.home];
    if (booked_at != found.home) ++load[found.home];
    at_risk += !homes().in_service(booked_at);
    CAPTURE(number);
    REQUIRE(found.data_home == session.data_home());
  }
  Books sum;
  for (size_t i = 0; i < fleet_.backends.size(); ++i) {
    const auto slot = static_cast<Slot>(i);
    const HomeCensus census = homes().census(slot);
    CAPTURE(slot);
    REQUIRE(is_balanced(census));
    REQUIRE(census.live == live[slot]);
    REQUIRE(homes().live(slot) == live[slot]);
    REQUIRE(homes().load(slot) == load[slot]);
    REQUIRE(table().sessions_at(slot).size() == going[slot]);
    REQUIRE(census.in_service == fleet_.backends[slot].serves_its_own());
    sum += census.books;
  }
  const Census census = table().census();
  REQUIRE(census.at_risk >= at_risk);  // and those whose home is back and has not answered them
  REQUIRE(census.books == sum);
}

void World::wind_up() {
  while (!flights_.empty()) drop(flights_.size() - 1);
  check();
  check_fully();
  now_ += 10'000;
  for (size_t i = 0; i < SessionTable::kSweeps; ++i) router_->sweep(now_);
  see_endings();
  check();
  check_fully();
  REQUIRE(table().census().live == 0);
  for (size_t i = 0; i < fleet_.backends.size(); ++i) REQUIRE(homes().load(static_cast<Slot>(i)) == 0);
}

}  // namespace limpet::routing::test
