// Two balancers that share keys and hash secret, and nothing else: clients go through either of them as it
// comes, and carry what they know in their cookies. Held against servers that keep sessions in memory, and
// clients that know whether they were logged out.
#include <doctest/doctest.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "routing/memory.h"
#include "routing/router.h"
#include "tests/routing/balance.h"
#include "tests/routing/clients.h"
#include "tests/routing/random_inputs.h"

namespace limpet::routing::two_balancers_property_test {

using namespace limpet::routing::test;
using Kind = conf::AffinityKind;

constexpr size_t kBackends = 5, kClients = 40, kForgers = 4, kMostSessions = 2000;
constexpr uint32_t kLongest = 1500;  // seconds of a world: less than idle_timeout

// What a world is like.
struct Rules {
  std::vector<Kind> affinity;
  bool adopts = false;    // the application takes up an id that it does not know, and says so: from anybody
  bool overlaps = false;  // a client's requests go through both at once
  bool forges = false;
};

conf::Pool pool_for(const Rules& rules) {
  conf::Pool pool = pool_of(kBackends, rules.affinity);
  pool.dormant_timeout = std::chrono::hours(24);
  pool.unreturned_timeout = pool.idle_timeout;
  pool.max_sessions = kMostSessions;
  if (rules.affinity.front() == Kind::cookie)
    pool.evidence = {{conf::SessionIdSource::Place::cookie, "JSESSIONID"}};
  return pool;
}

struct Balancer {
  Balancer(const conf::Pool& pool, Inputs& inputs) : fleet(Fleet::from(pool)) { start(pool, inputs); }

  void start(const conf::Pool& pool, Inputs& inputs) {
    if (memory) lost_before += lost();
    memory = Router::new_memory(pool);
    const std::vector<std::string> keys{std::string(32, 'k')};
    router = std::make_unique<Router>(pool, keys, std::string(32, 's'), memory, inputs.number());
    for (Slot slot = 0; slot < kBackends; ++slot) see(slot, fleet.backends[slot].state);
    wall_ahead = static_cast<uint32_t>(inputs.below(200));
    started = static_cast<uint32_t>(inputs.below(1'000'000));
    ++starts;
  }
  void see(Slot slot, BackendState state) {
    Backend& backend = fleet.backends[slot];
    const bool served = backend.serves_its_own();
    backend.state = state;
    outages[slot] += served && !backend.serves_its_own();
    memory->table.homes().set_in_service(slot, backend.serves_its_own());
  }
  bool serves(Slot slot) const { return fleet.backends[slot].serves_its_own(); }
  bool sees_the_same_as(const Balancer& other) const {
    for (size_t slot = 0; slot < kBackends; ++slot) {
      const Backend &mine = fleet.backends[slot], &its = other.fleet.backends[slot];
      if (mine.state != its.state || mine.weight != its.weight) return false;
    }
    return true;
  }
  uint64_t lost() const { return memory->table.census().books.all[Event::lost]; }

  std::shared_ptr<Memory> memory;
  std::unique_ptr<Router> router;
  Fleet fleet;  // as this one sees it
  uint32_t wall_ahead = 0, started = 0;
  uint64_t starts = 0, lost_before = 0;
  std::array<uint64_t, kBackends> outages{};  // so many of each it has seen
};

class World {
 public:
  World(const Rules& rules, uint64_t seed)
      : rules_(rules),
        pool_(pool_for(rules)),
        inputs_(seed),
        balancers_{Balancer(pool_, inputs_), Balancer(pool_, inputs_)},
        clients_(kClients) {
    for (size_t i = 0; i < kClients; ++i) {
      clients_[i].address = "10.0.0." + std::to_string(i);
      clients_[i].is_held = !rules.forges || i >= kForgers;
    }
  }

  void step();
  void check();

  struct Seen {
    uint64_t answers = 0, logouts = 0, failovers = 0, restarts = 0, unknown = 0, forged = 0, alike = 0,
             differed = 0;
  };
  const Seen& seen() const { return seen_; }
  uint64_t lost() const {
    return sum([](const Balancer& b) { return b.lost_before + b.lost(); });
  }

 private:
  struct Server {
    bool alive = true;
    std::map<std::string, uint64_t> sessions;  // in memory, by id
  };
  // What a balancer can know of a client's session, if it knows it.
  struct Known {
    uint64_t starts = 0;
    std::string id;
    Slot home = kNoSlot;
    uint64_t outages = 0;  // of its home, when it was answered last
  };
  struct Client {
    std::string address, token, id;
    uint64_t session = 0;  // as the application called it; 0: none
    Slot home = kNoSlot;   // where it was answered last
    bool is_held = true;   // it follows its token, come what may
    // Whether each balancer is held to that: not after both chose at once until it has answered it again, nor
    // while a request of its has failed wherever it went.
    std::array<bool, 2> is_bound{true, true};
    std::array<Known, 2> known{};
  };
  struct Request {
    Said said;
    std::string id;
    Identity identity;
    Tried tried;
    Choice choice;
  };

  void change_a_backend();
  void catch_up(Balancer& balancer);
  void visit(Client& client);
  void overlap(Client& client);
  void forge();
  Request ask(Balancer& balancer, const Client& client, const std::string& cookies, bool logs_in);
  void hold(const Client& client, Balancer& balancer, const Request& request);
  void meet(Client& client, size_t number);
  uint64_t answer(Balancer& balancer, Client& client, Request& request, std::string& sets);
  void receive(Client& client, size_t number, Request& request);

  Now now(const Balancer& balancer) const {
    return {kNow + 1000 + time_ + balancer.wall_ahead, balancer.started + time_};
  }
  std::string cookies_of(const Client& client) const {
    return client.token + (client.id.empty() ? "" : "; JSESSIONID=" + client.id);
  }
  bool tracks_ids() const { return rules_.affinity.front() == Kind::session_id; }
  bool is_exact() const { return !rules_.overlaps && !rules_.adopts && !rules_.forges; }
  Slot any_slot() { return static_cast<Slot>(inputs_.below(kBackends)); }
  Client& any_client() { return clients_[inputs_.below(kClients)]; }
  template <class Count>
  uint64_t sum(Count&& count) const {
    return count(balancers_[0]) + count(balancers_[1]);
  }

  const Rules rules_;
  const conf::Pool pool_;
  Inputs inputs_;
  std::array<Balancer, 2> balancers_;
  std::array<Server, kBackends> servers_;
  std::array<BackendState, kBackends> states_{};  // what both will see in the end
  std::vector<Client> clients_;
  std::vector<std::string> stolen_;  // tokens that forgers were given
  uint32_t time_ = 0;
  uint64_t last_session_ = 0, last_id_ = 0;
  Seen seen_;
};

void World::step() {
  const uint64_t draw = inputs_.below(1000);
  if (draw < 800) {
    Client& client = any_client();
    rules_.overlaps&& inputs_.one_in(6) ? overlap(client) : visit(client);
  } else if (draw < 850) {
    if (rules_.forges) forge();
  } else if (draw < 880) {  // a request that its client gives up before it is answered
    Client& client = any_client();
    const size_t number = inputs_.below(2);
    Balancer& balancer = balancers_[number];
    if (client.token.empty() || client.home == kNoSlot) return;
    meet(client, number);
    const Said said{.cookie = cookies_of(client), .client = client.address};
    const Stage::Fields fields(said);
    const Identity identity = balancer.router->identify(fields.request, balancer.fleet, now(balancer));
    balancer.router->release(balancer.router->choose(identity, balancer.fleet, {}, now(balancer)));
  } else if (draw < 930) {
    change_a_backend();
  } else if (draw < 970) {
    catch_up(balancers_[inputs_.below(2)]);
  } else if (draw < 975) {
    const auto weight = static_cast<uint32_t>(inputs_.below(3) * 50);
    const Slot slot = any_slot();
    for (Balancer& balancer : balancers_) balancer.fleet.backends[slot].weight = 50 + weight;
  } else if (draw < 978) {
    balancers_[inputs_.below(2)].start(pool_, inputs_);
  } else if (time_ < kLongest) {
    time_ += static_cast<uint32_t>(inputs_.below(5));
    for (Balancer& balancer : balancers_) balancer.router->sweep(now(balancer));
  }
}

// It dies and forgets, or goes out of service and does not, or comes back. Both see it; or one does, later
// the other; or it is one's mistake.
void World::change_a_backend() {
  constexpr BackendState kStates[] = {BackendState::up,       BackendState::up,          BackendState::up,
                                      BackendState::draining, BackendState::maintenance, BackendState::down};
  const Slot slot = any_slot();
  const BackendState state = kStates[inputs_.below(6)];
  Balancer& one = balancers_[inputs_.below(2)];
  if (inputs_.one_in(5)) return one.see(slot, state);
  Server& server = servers_[slot];
  const bool dies = state == BackendState::down && inputs_.one_in(2);
  if (dies && !rules_.adopts) server.sessions.clear();
  server.alive = !dies;
  states_[slot] = state;
  one.see(slot, state);
  if (!inputs_.one_in(3)) {
    for (Balancer& balancer : balancers_) balancer.see(slot, state);
  }
}

void World::catch_up(Balancer& balancer) {
  for (Slot slot = 0; slot < kBackends; ++slot) balancer.see(slot, states_[slot]);
}

World::Request World::ask(Balancer& balancer, const Client& client, const std::string& cookies,
                          bool logs_in) {
  Request request;
  request.said = {.cookie = cookies, .client = client.address, .method = logs_in ? "POST" : "GET"};
  const Stage::Fields fields(request.said);
  Router& router = *balancer.router;
  request.identity = router.identify(fields.request, balancer.fleet, now(balancer));
  request.choice = router.choose(request.identity, balancer.fleet, request.tried, now(balancer));
  while (request.choice && !servers_[request.choice.slot].alive) {
    router.release(request.choice);
    request.tried.add(request.choice.slot);
    request.choice = router.choose(request.identity, balancer.fleet, request.tried, now(balancer));
  }
  return request;
}

// A client is moved by nobody who can reach its home; and where it goes instead does not depend on who sends
// it.
void World::hold(const Client& client, Balancer& balancer, const Request& request) {
  if (client.home == kNoSlot || !client.is_held || !client.is_bound[0] || !client.is_bound[1]) return;
  if (balancer.serves(client.home) && servers_[client.home].alive) {
    REQUIRE(request.choice.slot == client.home);
    return;
  }
  REQUIRE(request.choice.slot != client.home);
  if (request.choice.reason != Reason::failed_over) return;  // it was on its way there
  if (request.tried.count != 0 || !balancers_[0].sees_the_same_as(balancers_[1]) || !inputs_.one_in(3))
    return;
  Balancer third(pool_, inputs_);
  third.fleet = balancer.fleet;
  third.start(pool_, inputs_);
  REQUIRE(ask(third, client, request.said.cookie, false).choice.slot == request.choice.slot);
  ++seen_.alike;
}

// What the balancer learns of a session by its token, when it has not answered it last.
void World::meet(Client& client, size_t number) {
  const Balancer& balancer = balancers_[number];
  Known& known = client.known[number];
  if (client.session == 0 || client.home == kNoSlot) return;
  const bool is_known = known.starts == balancer.starts && (!tracks_ids() || known.id == client.id);
  if (is_known && known.home == client.home) return;
  known = {balancer.starts, client.id, client.home,
           balancer.outages[client.home] - !balancer.serves(client.home)};
}

void World::visit(Client& client) {
  const size_t number = inputs_.below(2);
  Balancer& balancer = balancers_[number];
  meet(client, number);
  Request request = ask(balancer, client, cookies_of(client), inputs_.one_in(8));
  if (!request.choice) {
    if (request.tried.count != 0) client.is_bound[number] = false;
    return;
  }
  request.id = client.id;
  hold(client, balancer, request);
  receive(client, number, request);
}

// The application and the balancer answer. Returned is the session that the client has now.
uint64_t World::answer(Balancer& balancer, Client& client, Request& request, std::string& sets) {
  auto& sessions = servers_[request.choice.slot].sessions;
  const auto found = sessions.find(request.id);
  const bool is_found = found != sessions.end(), logs_in = request.said.method == "POST";
  const uint64_t session = is_found ? found->second : ++last_session_;
  const bool is_new = !is_found && (request.id.empty() || !rules_.adopts);
  if (is_new || (is_found && logs_in)) {
    if (is_found) sessions.erase(found);
    sets = "id" + std::to_string(++last_id_);
  } else if (!is_found || inputs_.one_in(20)) {
    sets = request.id;
  }
  sessions[sets.empty() ? request.id : sets] = session;
  if (!sets.empty()) request.said.sets = "JSESSIONID=" + sets;
  const Stage::Fields fields(request.said);
  const Outcome outcome = balancer.router->account(request.identity, request.choice, balancer.fleet,
                                                   fields.request, fields.response, now(balancer));
  if (outcome.token) client.token = "limpet_shop=" + *outcome.token;
  return session;
}

void World::receive(Client& client, size_t number, Request& request) {
  Balancer& balancer = balancers_[number];
  const Slot slot = request.choice.slot;
  std::string sets;
  const uint64_t session = answer(balancer, client, request, sets);
  ++seen_.answers;
  if (client.session != 0 && session != client.session) {
    ++seen_.logouts;
    const Known& known = client.known[number];
    if (client.home != slot) {
      ++seen_.failovers;
    } else if (known.outages < balancer.outages[slot] && request.said.method == "GET") {
      ++seen_.restarts;
    } else {
      ++seen_.unknown;  // to this balancer
    }
  }
  client.session = session;
  client.home = slot;
  client.is_bound[number] = true;
  if (!sets.empty()) client.id = sets;
  client.known[number] = {balancer.starts, client.id, slot, balancer.outages[slot]};
}

void World::overlap(Client& client) {
  std::array<size_t, 2> numbers{inputs_.below(2), inputs_.below(2)};
  std::array<Request, 2> requests;
  for (size_t i = 0; i < 2; ++i) {
    requests[i] = ask(balancers_[numbers[i]], client, cookies_of(client), false);
    requests[i].id = client.id;
  }
  const size_t first = inputs_.below(2);
  for (const size_t i : {first, 1 - first}) {
    if (requests[i].choice) receive(client, numbers[i], requests[i]);
  }
  const bool differ = requests[0].choice.slot != requests[1].choice.slot;
  seen_.differed += differ && requests[0].choice && requests[1].choice;
  if (differ) client.is_bound = {false, false};
}

// Somebody with a session of its own sends what does not belong together. Whoever else's session that was
// goes on as it was, which visits show.
void World::forge() {
  Balancer& balancer = balancers_[inputs_.below(2)];
  const Client &forger = clients_[inputs_.below(kForgers)],
               &victim = clients_[kForgers + inputs_.below(kClients - kForgers)];
  if (forger.token.empty() || victim.id.empty() || victim.home == kNoSlot) return;
  if (!servers_[victim.home].alive || !balancer.serves(victim.home)) return;  // its session is lost anyway
  if (!servers_[victim.home].sessions.contains(victim.id)) return;
  std::vector<std::string> pairs;
  std::string altered = forger.token;
  altered[12 + inputs_.below(altered.size() - 12)] ^= 1;
  const std::string own_id = "; JSESSIONID=" + forger.id;
  switch (inputs_.below(5)) {
    case 0:
      pairs.push_back(forger.token + "; JSESSIONID=" + victim.id);
      break;
    case 1:
      for (int i = 0; i < 100; ++i)
        pairs.push_back(forger.token + "; JSESSIONID=made-up-" + std::to_string(inputs_.number()));
      break;
    case 2:
      pairs.push_back(altered + "; JSESSIONID=" + victim.id);
      pairs.push_back(altered + "; JSESSIONID=made-up");
      break;
    case 3:
      pairs.push_back(forger.token.substr(0, 12 + inputs_.below(forger.token.size() - 12)) + own_id + "-cut");
      break;
    default:
      if (!stolen_.empty())
        pairs.push_back(stolen_[inputs_.below(stolen_.size())] + "; JSESSIONID=" + victim.id);
  }
  for (const std::string& pair : pairs) {
    Client other;
    other.address = "192.0.2.66";
    other.token = pair.substr(0, pair.find(';'));
    Request request = ask(balancer, other, pair, false);
    if (!request.choice) continue;
    request.id = pair.substr(pair.find("JSESSIONID=") + 11);
    std::string sets;
    const std::string before = other.token;
    answer(balancer, other, request, sets);
    if (other.token != before) stolen_.push_back(other.token);
    ++seen_.forged;
  }
}

void World::check() {
  for (const Balancer& balancer : balancers_) {
    const Census census = balancer.memory->table.census();
    REQUIRE(is_balanced(census));
    REQUIRE(census.entries <= kMostSessions);
    REQUIRE(census.books.returned[Event::evicted] == 0);
  }
  if (is_exact()) REQUIRE(lost() == seen_.failovers + seen_.restarts);
  if (!rules_.overlaps && !rules_.forges) REQUIRE(lost() <= seen_.logouts);
}

// A tenth of the steps where each takes ten times as long.
#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kSteps = 400;
#else
constexpr uint64_t kSteps = 4000;
#endif
constexpr uint64_t kWorlds = 96;

TEST_CASE("two balancers that share keys alone move nobody back, choose alike, and lose what clients lost") {
  World::Seen seen;
  uint64_t lost = 0;
  for (uint64_t number = 0; number < kWorlds; ++number) {
    const uint64_t seed = 9000 + number;
    INFO("seed " << seed);
    const std::vector<Kind> affinity =
        number % 2 == 0 ? std::vector{Kind::cookie} : std::vector{Kind::session_id, Kind::cookie};
    World world({.affinity = affinity,
                 .adopts = number / 6 % 4 == 3 && number / 2 % 3 != 1,
                 .overlaps = number / 2 % 3 == 2,
                 .forges = number / 2 % 3 == 1},
                seed);
    for (uint64_t step = 0; step < kSteps; ++step) {
      CAPTURE(step);
      world.step();
      world.check();
    }
    lost += world.lost();
    seen.answers += world.seen().answers;
    seen.logouts += world.seen().logouts;
    seen.failovers += world.seen().failovers;
    seen.restarts += world.seen().restarts;
    seen.unknown += world.seen().unknown;
    seen.forged += world.seen().forged;
    seen.alike += world.seen().alike;
    seen.differed += world.seen().differed;
  }
  MESSAGE((kWorlds * kSteps) << " events, " << seen.answers << " answers; " << seen.logouts << " logouts, "
                             << seen.failovers << " by a failover, " << seen.restarts
                             << " by a restart that was seen, " << seen.unknown << " by one that was not; "
                             << lost << " counted; " << seen.forged << " forged requests");
  constexpr uint64_t kOften = kSteps / 14;
  CHECK(seen.failovers > kOften);
  CHECK(seen.restarts > kOften);
  CHECK(seen.forged > kOften);
  CHECK(seen.alike > kOften);
  CHECK(seen.differed > kOften);
}

}  // namespace limpet::routing::two_balancers_property_test
