#include "tests/routing/session_world.h"

#include <algorithm>

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
  } else if (draw < 968) {
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
  Flight flight;
  flight.client = number;
  flight.said = {.cookie = client.token, .client = client.address};
  if (!client.id.empty()) flight.said.cookie += "; JSESSIONID=" + client.id;
  flight.id = client.id;
  flight.wish = inputs_.one_in(6) ? Wish::login : inputs_.one_in(20) ? Wish::logout : Wish::view;
  if (flight.wish != Wish::view) flight.said.method = "POST";
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
  const Tally before_choice = table().census().books.all;
  const auto has_grown = [&](Event event) {
    return table().census().books.all[event] != before_choice[event];
  };
  flight.choice = router_->choose(flight.identity, fleet_, flight.tried, now_);
  flight.from = flight.choice.ghost ? flight.choice.data_home : kNoSlot;
  const bool is_restored = has_grown(Event::restored);
  if (is_restored && flight.session == kNone) {
    flight.session = add_session(flight.identity.key);
    sessions_[flight.session].id = flight.id;
  }
  if (flight.session == kNone) return;
  Session& session = sessions_[flight.session];
  const Slot named = flight.identity.token_home;
  const Slot home = table().find(flight.identity.key, now_).home;
  if (flight.choice && home != kNoSlot) REQUIRE(home == flight.choice.slot);
  if (before.home != kNoSlot && !before.returned && flight.tried.count == 0) ++seen_.returns;
  if (before.home == kNoSlot && is_live(session.key)) {
    session.live = true;
    live_.push_back(flight.session);
    session.known = is_restored;
    if (is_restored && (session.at == kNoSlot || (tracks(Kind::session_id) && session.at != named)))
      believe(flight.session, named);
    if (is_restored) REQUIRE(named == session.at);
  }
  const bool is_followed =
      before.home != kNoSlot && has_grown(Event::reassigned) && session.data_home() != named &&
      named != kNoSlot &&
      table().find_and_touch(flight.identity.key, now_, SessionTable::Visit::retry).data_home == named;
  if (is_followed) believe(flight.session, named);
  if (!flight.choice.ghost) flight.from = session.data_home();
}

// A session that began anew under a former id counts its homes anew, and a token of its former life may have
// a later number, or come first: that is believed, as another balancer's would be.
void World::believe(size_t number, Slot home) {
  Session& session = sessions_[number];
  session.known = true;
  session.at = home;
  session.version = ++last_version_;
  write(home, number, session.version);
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

void World::answer() {
  if (flights_.empty()) return;
  const size_t at = inputs_.below(flights_.size());
  if (!flights_[at].choice) return depart(take(at));  // it waited
  if (!servers_[flights_[at].choice.slot].alive) return attempt_fails();
  Flight flight = take(at);
  if (flight.identity.tracked) {
    flight.session = is_live(flight.identity.key) ? session_of(flight.identity.key) : kNone;
    see_endings();
  }
  const Slot server = flight.choice.slot;
  const Words words = words_of(server, flight);
  Said said = flight.said;
  said.sets = words.sets;
  Stage::Fields fields(said);
  fields.request.target = flight.target;
  const Slot home = flight.session == kNone ? kNoSlot : table().find(flight.identity.key, now_).home;
  flight.doubted = flight.session != kNone && table().binding(flight.identity.key, now_).unproven;
  if (flight.session != kNone && flight.choice.open_question) {
    const auto found = table().find_and_touch(flight.identity.key, now_, SessionTable::Visit::retry);
    flight.tells = found.open_question && !flight.doubted && flight.from == server &&
                   homes().in_service(server) && flight.wish == Wish::view &&
                   sessions_[flight.session].id == flight.id;
  }
  const Tally before = table().census().books.all;
  const Outcome outcome =
      router_->account(flight.identity, flight.choice, fleet_, fields.request, fields.response, now_);
  const bool renewed = table().census().books.all[Event::renewed] != before[Event::renewed];
  ++seen_.answers;
  learn(flight, server, words, home);
  see_endings();
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
  switch (inputs_.below(6)) {
    case 0:
      return set(flight.id);
    case 1:
      return {"JSESSIONID=; Max-Age=0", ""};
    case 2:
      return {};
    default:
      return set_new();
  }
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
  server.versions.clear();
  if (server.alive && inputs_.one_in(2)) {  // and is back before a request meets it
    homes().set_in_service(slot, false);
    homes().set_in_service(slot, fleet_.backends[slot].serves_its_own());
    return;
  }
  server.alive = !server.alive;
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
    if (before.booked_at != to) {
      session.known = false;
      session.at = kNoSlot;
    }
  }
}

void World::add_backend() {
  if (fleet_.backends.size() == kMostBackends) return;
  conf::Backend added;
  added.name = "app-" + std::to_string(fleet_.backends.size());
  if (pool_.storage == conf::Storage::backup) added.backup = pool_.backends.front().name;
  pool_.backends.push_back(added);
  const Fleet grown = Fleet::from(pool_);
  fleet_.backends.push_back(grown.backends.back());
  servers_.emplace_back();
}

void World::reload() {
  const std::vector<std::string> keys{std::string(32, 'k')};
  router_ = std::make_unique<Router>(pool_, keys, std::string(32, 's'), memory_, inputs_.number());
}

}  // namespace limpet::routing::test
