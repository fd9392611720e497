#include "tests/routing/session_world.h"

namespace limpet::routing::test {

using Kind = conf::AffinityKind;

void World::step() {
  const uint64_t draw = inputs_.below(1000);
  if (draw < 440) {
    send();
  } else if (draw < 850) {
    answer();
  } else if (draw < 900) {
    attempt_fails();
  } else if (draw < 915) {
    give_up();
  } else if (draw < 935) {
    change_a_state();
  } else if (draw < 950) {
    kill_or_restart();
  } else if (draw < 990) {
    time_passes();
  } else if (draw < 998) {
    operate();
  } else if (draw < 999) {
    add_backend();
  } else {
    reload();
  }
  see_endings();
}

// ---- Requests

void World::send() {
  if (flights_.size() == kMostFlights) return;
  const size_t number = inputs_.below(clients_.size());
  const Client& client = clients_[number];
  const bool has_session = client.session != kNone && sessions_[client.session].known;
  const bool alone = std::none_of(flights_.begin(), flights_.end(),
                                  [&](const Flight& flight) { return flight.client == number; });
  if (!has_session && !alone && !rules_.overlaps_first_requests) return;
  Flight flight;
  flight.client = number;
  flight.said = {.cookie = client.token, .client = client.address};
  if (!client.id.empty()) flight.said.cookie += "; JSESSIONID=" + client.id;
  flight.id = client.id;
  flight.wish = inputs_.one_in(8) ? Wish::login : inputs_.one_in(20) ? Wish::logout : Wish::view;
  flight.tried.patient = rules_.waits;
  if (inputs_.one_in(25)) flight.target = "/static/x";
  Stage::Fields fields(flight.said);
  fields.request.target = flight.target;
  flight.identity = router_->identify(fields.request, fleet_, now_);
  if (flight.identity.tracked) flight.session = client.session;
  depart(std::move(flight));
}

World::Flight World::take(size_t at) {
  Flight flight = std::move(flights_[at]);
  flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(at));
  return flight;
}

void World::choose(Flight& flight) {
  SessionView before;
  if (flight.identity.tracked) {
    if (const size_t known = session_of(flight.identity.key); known != kNone) flight.session = known;
  }
  if (flight.session != kNone) {
    before = table().find(flight.identity.key, now_);
    see_endings();
    // Under a former id, that leads nowhere any more, the session is not asked for.
    if (before.home == kNoSlot && sessions_[flight.session].key != flight.identity.key)
      flight.session = kNone;
  }
  const uint64_t restored = table().census().books.all[Event::restored];
  flight.choice = router_->choose(flight.identity, fleet_, flight.tried, now_);
  if (flight.session == kNone) return;
  Session& session = sessions_[flight.session];
  if (flight.choice) session.sent[flight.choice.slot] = ++decisions_;
  const Slot home = table().find(flight.identity.key, now_).home;
  if (flight.choice && home != kNoSlot) REQUIRE(home == flight.choice.slot);
  if (before.home != kNoSlot && !before.returned && flight.tried.count == 0) ++seen_.returns;
  if (before.home == kNoSlot && is_live(session.key)) {
    session.live = true;
    live_.push_back(flight.session);
    const bool is_restored = table().census().books.all[Event::restored] != restored;
    session.known = is_restored;
    if (is_restored && session.at == kNoSlot) {
      session.at = flight.identity.token_home;
      session.version = ++last_version_;
      write(session.at, flight.session, session.version);
    }
    if (is_restored && !rules_.overlaps_first_requests) REQUIRE(flight.identity.token_home == session.at);
  }
}

// To the backend that is chosen, or to wait for one; or it is over.
void World::depart(Flight flight) {
  choose(flight);
  const bool away = flight.choice.reason == Reason::away;
  const bool waits = away && inputs_.one_in(2);
  if (away && !waits) {
    flight.tried.add(flight.choice.home);
    choose(flight);
  }
  if (flight.choice || waits) flights_.push_back(std::move(flight));
}

void World::drop(size_t at) {
  router_->release(flights_[at].choice);
  flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(at));
}

void World::give_up() {
  if (!flights_.empty()) drop(inputs_.below(flights_.size()));
}

void World::attempt_fails() {
  if (flights_.empty()) return;
  Flight flight = take(inputs_.below(flights_.size()));
  router_->release(flight.choice);
  if (flight.choice) flight.tried.add(flight.choice.slot);
  flight.choice = {};
  depart(std::move(flight));
}

// An answer that the ledger cannot place: the session's requests were sent to this backend after they went to
// its home, but then on from there, or by somebody who took it for the home that it once was.
bool World::overtaken(const Flight& flight) {
  if (flight.session == kNone) return false;
  Session& session = sessions_[flight.session];
  const Slot server = flight.choice.slot;
  if (server == session.at || session.sent[server] < session.sent[session.at]) return false;
  return !flight.choice.unanswered || table().find(flight.identity.key, now_).home != server;
}

void World::answer() {
  if (flights_.empty()) return;
  const size_t at = inputs_.below(flights_.size());
  if (!flights_[at].choice) return depart(take(at));  // it waited
  if (!servers_[flights_[at].choice.slot].alive) return attempt_fails();
  Flight flight = take(at);
  if (flight.session != kNone) {
    flight.session = is_live(flight.identity.key) ? session_of(flight.identity.key) : kNone;
    see_endings();
  }
  if (!rules_.overlaps_first_requests && overtaken(flight)) {
    ++seen_.overtaken;
    return router_->release(flight.choice);
  }
  const Slot server = flight.choice.slot;
  const Words words = words_of(server, flight);
  Said said = flight.said;
  said.sets = words.sets;
  Stage::Fields fields(said);
  fields.request.target = flight.target;
  const Tally before = table().census().books.all;
  const Outcome outcome =
      router_->account(flight.identity, flight.choice, fleet_, fields.request, fields.response, now_);
  const bool renewed = table().census().books.all[Event::renewed] != before[Event::renewed];
  ++seen_.answers;
  see_endings();
  learn(flight, server, words, renewed);
  learn_of_new_session(flight, server, words, renewed, outcome.token);
}

// The application knows a session by its id; where the affinity is another, by something that does not
// change.
World::Words World::words_of(Slot server, const Flight& flight) {
  if (!tracks(Kind::session_id) || flight.identity.stateless) return {};
  const auto set = [](const std::string& id) { return Words{"JSESSIONID=" + id, id}; };
  const auto set_new = [&] { return set("id" + std::to_string(++last_id_)); };
  if (flight.id.empty()) return flight.wish == Wish::login ? set_new() : Words{};
  const size_t session = flight.session;
  const bool is_current = session != kNone && sessions_[session].id == flight.id;
  const bool knows =
      session != kNone && versions_found(server, session) != 0 && (is_current || !rules_.forgets_former_ids);
  if (knows && flight.wish == Wish::logout) return {"JSESSIONID=; Max-Age=0", ""};
  if (knows) return flight.wish == Wish::login ? set_new() : inputs_.one_in(10) ? set(flight.id) : Words{};
  return inputs_.one_in(2) ? set_new() : inputs_.one_in(2) ? set(flight.id) : Words{};
}

// ---- What clients see

void World::learn(const Flight& flight, Slot server, const Words& words, bool) {
  const bool guessed = flight.identity.tracked && tracks(Kind::session_id) &&
                       (flight.choice.reason == Reason::hash || flight.choice.reason == Reason::token);
  const bool has_new_id = !words.new_id.empty() && words.new_id != flight.id;
  if (guessed && has_new_id) ++seen_.guesses_missed;
  if (flight.session == kNone || !sessions_[flight.session].live) return;
  Session& session = sessions_[flight.session];
  const uint64_t found = versions_found(server, flight.session);
  const bool is_change = session.known && server != session.at;
  if (is_change && session.sent[server] < session.sent[session.at])
    return;  // the client has been elsewhere since
  if (is_change) {
    const bool logged_out = found != session.version;
    ++(logged_out ? seen_.logouts : seen_.moves);
    if (fleet_.backends[session.at].backup == server) ++seen_.to_backup;
    if (logged_out && has_new_id) ++seen_.confirmed;
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
      if (client.id == flight.id) client.id.clear();
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
  session.sent[server] = ++decisions_;
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
    const size_t number = live_[i];
    if (is_live(sessions_[number].key)) continue;
    sessions_[number].live = false;
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(i));
    forget(number);
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

// ---- What befalls backends and sessions

void World::change_a_state() {
  constexpr BackendState kStates[] = {BackendState::up, BackendState::up, BackendState::down,
                                      BackendState::draining, BackendState::maintenance};
  const Slot slot = any_slot();
  fleet_.backends[slot].state = kStates[inputs_.below(5)];
  fleet_.backends[slot].warmth = static_cast<uint32_t>(inputs_.below(kWarm)) + 1;
  homes().set_in_service(slot, fleet_.backends[slot].serves_its_own());
}

// Whether the balancer notices at once, later or never is another matter.
void World::kill_or_restart() {
  const Slot slot = any_slot();
  Server& server = servers_[slot];
  server.alive = !server.alive;
  server.versions.clear();
  if (inputs_.one_in(2)) {
    fleet_.backends[slot].state = server.alive ? BackendState::up : BackendState::down;
    homes().set_in_service(slot, server.alive);
  }
}

void World::time_passes() {
  now_ += static_cast<uint32_t>(inputs_.one_in(40) ? inputs_.below(150) : inputs_.below(8));
  if (inputs_.one_in(500)) now_ -= 20;
  router_->sweep(now_);
  if (!flights_.empty()) router_->touch(flights_[inputs_.below(flights_.size())].identity, now_);
}

void World::operate() {
  const Client& client = clients_[inputs_.below(clients_.size())];
  if (client.session == kNone) return;
  const std::string value = client.token.substr(client.token.find('=') + 1);
  const std::string& name = tracks(Kind::ip) ? client.address : tracks(Kind::cookie) ? value : client.id;
  Session& session = sessions_[client.session];
  if (inputs_.one_in(3)) {
    router_->unbind(name, now_);
  } else if (session.live) {
    const SessionView before = router_->find(name, now_).value_or(SessionView{});
    const Slot to = any_slot();
    router_->pin(name, to, now_);
    const bool is_back = session.known && session.at == to;  // where its data is still
    if (before.home != to && !is_back) {
      forget(client.session);
      session.at = kNoSlot;
    }
  }
}

void World::add_backend() {
  if (fleet_.backends.size() == kMostBackends) return;
  conf::Backend added;
  added.name = "app-" + std::to_string(fleet_.backends.size());
  pool_.backends.push_back(added);
  const Fleet grown = Fleet::from(pool_);
  fleet_.backends.push_back(grown.backends.back());
  servers_.emplace_back();
}

void World::reload() {
  const std::vector<std::string> keys{std::string(32, 'k')};
  router_ = std::make_unique<Router>(pool_, keys, std::string(32, 's'), memory_, inputs_.number());
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
  if (rules_.overlaps_first_requests) return;
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
    const Slot home = found.leaving != kNoSlot ? found.leaving : found.home;
    ++live[home];
    ++load[home];
    ++going[found.home];
    if (found.leaving != kNoSlot) ++load[found.home];
    at_risk += !homes().in_service(home);
    CAPTURE(number);
    if (session.known && !rules_.overlaps_first_requests) REQUIRE(home == session.at);
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
  REQUIRE(census.at_risk == at_risk);
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
