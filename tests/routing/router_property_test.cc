// What holds for a router whatever happens: known sessions stay, a new backend takes only its share, the
// books balance.
#include <doctest/doctest.h>

#include <cmath>
#include <thread>

#include "routing/router.h"
#include "routing/session_table.h"
#include "tests/routing/clients.h"
#include "tests/routing/random_inputs.h"

namespace limpet::routing::router_property_test {

using namespace limpet::routing::test;
using Kind = conf::AffinityKind;

std::string address(uint64_t number) {
  return "10." + std::to_string(number >> 16 & 255) + "." + std::to_string(number >> 8 & 255) + "." +
         std::to_string(number & 255);
}

conf::Pool grown(conf::Pool pool, const std::string& name) {
  conf::Backend backend;
  backend.name = name;
  pool.backends.push_back(backend);
  return pool;
}

// What one client says to a pool of `kind`, once it is known.
Said known_client(Kind kind, uint64_t number, const Result& first) {
  switch (kind) {
    case Kind::ip:
      return {.client = address(number)};
    case Kind::cookie:
      return {.cookie = Stage::cookie(first)};
    case Kind::session_id:
      return {.cookie = "JSESSIONID=id" + std::to_string(number)};
  }
  return {};
}

TEST_CASE("adding a backend moves no known session, whatever the affinity") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    const conf::Pool pool = pool_of(4, {kind});
    Stage stage(pool);
    std::vector<Result> firsts;
    for (uint64_t i = 0; i < 2000; ++i) {
      firsts.push_back(stage.send({.client = address(i), .sets = "JSESSIONID=id" + std::to_string(i)}));
    }
    stage.fleet = Fleet::from(grown(pool, "app-new"));
    for (uint64_t i = 0; i < firsts.size(); ++i) {
      const Result next = stage.send(known_client(kind, i, firsts[i]));
      REQUIRE(next.reason() == Reason::bound);
      REQUIRE(next.slot() == firsts[i].slot());
    }
    CHECK(stage.count(Event::lost) == 0);
    stage.check_books();
  }
}

TEST_CASE("without the table a new backend moves its share of the keys, and only towards itself") {
  for (const Kind kind : {Kind::ip, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    const conf::Pool pool = pool_of(4, {kind});
    Stage before(pool), after(grown(pool, "app-new"));
    constexpr int kClients = 5000;
    int moved = 0;
    for (uint64_t i = 0; i < kClients; ++i) {
      const Said said = known_client(kind, i, {});
      const Slot old_home = before.send(said).slot(), new_home = after.send(said).slot();
      if (old_home == new_home) continue;
      ++moved;
      REQUIRE(new_home == 4);
    }
    const double share = kClients / 5.0, deviation = std::sqrt(kClients * 0.2 * 0.8);
    CHECK(std::abs(moved - share) < 4 * deviation);
  }
}

TEST_CASE("clients of every kind keep their homes through any failures, unless their own home failed") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    for (const uint64_t seed : {801u, 802u}) {
      LIMPET_RANDOM_INPUTS(seed);
      CAPTURE(static_cast<int>(kind));
      Stage stage(pool_of(6, {kind}));
      struct Client {
        Result last;
        std::string cookie;
        Slot home = kNoSlot;
      };
      std::vector<Client> clients(100);
      uint64_t failovers = 0;
      for (int step = 0; step < 5000; ++step) {
        if (inputs.one_in(40)) {
          constexpr BackendState kStates[] = {BackendState::up, BackendState::down, BackendState::draining,
                                              BackendState::maintenance};
          stage.set(static_cast<Slot>(inputs.below(5)), kStates[inputs.below(4)]);  // one always stays up
        }
        const uint64_t number = inputs.below(clients.size());
        Client& client = clients[number];
        Said said{
            .cookie = client.cookie, .client = address(number), .at = static_cast<uint32_t>(step / 100)};
        if (client.home == kNoSlot) said.sets = "JSESSIONID=id" + std::to_string(number);
        const Result result = stage.send(said);
        REQUIRE(result.choice);
        if (client.home == kNoSlot) {
          if (kind == Kind::session_id) client.cookie = said.sets;
        } else if (stage.fleet.backends[client.home].serves_its_own()) {
          REQUIRE(result.slot() == client.home);
          REQUIRE(result.reason() == Reason::bound);
        } else {
          REQUIRE(result.reason() == Reason::failed_over);
          REQUIRE(stage.fleet.backends[result.slot()].takes_new_sessions());
          ++failovers;
        }
        if (result.token) client.cookie = Stage::cookie(result);
        client.home = result.slot();
      }
      CHECK(failovers > 0);
      // An application that is asked by id and says nothing may not know it any more: it loses it once.
      CHECK(stage.count(Event::lost) + stage.count(Event::uncertain) == failovers);
      CHECK((stage.count(Event::uncertain) == 0) == (kind != Kind::session_id));
      stage.check_books();
    }
  }
}

TEST_CASE("workers that route at once, with failures and limits, leave balanced books and no reservation") {
  for (const std::vector<Kind>& affinity : {std::vector<Kind>{Kind::cookie},
                                            {Kind::ip},
                                            {Kind::session_id, Kind::cookie},
                                            {Kind::cookie, Kind::ip}}) {
    conf::Pool pool = pool_of(4, affinity);
    pool.max_sessions = 600;
    pool.backends[0].max_sessions = 40;
    Stage stage(pool);
    std::vector<std::thread> workers;
    for (uint64_t seed = 811; seed < 815; ++seed) {
      workers.emplace_back([&, seed] {
        Inputs inputs(seed);
        struct Client {
          std::string token, id;
        };
        std::vector<Client> clients(50);
        Fleet fleet = stage.fleet;
        for (int step = 0; step < 3000; ++step) {
          if (inputs.one_in(100)) {
            auto& state = fleet.backends[inputs.below(4)].state;
            state = state == BackendState::up ? BackendState::down : BackendState::up;
          }
          Client& client = clients[inputs.below(clients.size())];
          Said said{.cookie = client.token + "; " + client.id, .client = address(inputs.below(100))};
          if (inputs.one_in(3)) said.sets = "JSESSIONID=id" + std::to_string(inputs.below(300));
          if (inputs.one_in(10)) said.sets = "JSESSIONID=; Max-Age=0";
          const Stage::Fields fields(said);
          const uint32_t now = kNow + static_cast<uint32_t>(step / 20);
          const Identity identity = stage.router.identify(fields.request, fleet, now);
          Tried tried;
          Choice choice = stage.router.choose(identity, fleet, tried, now);
          while (choice && inputs.one_in(4)) {
            stage.router.release(choice);
            tried.add(choice.slot);
            choice = stage.router.choose(identity, fleet, tried, now);
          }
          if (!choice) continue;
          const Outcome outcome =
              stage.router.account(identity, choice, fleet, fields.request, fields.response, now);
          if (outcome.token) client.token = "limpet_shop=" + *outcome.token;
          if (!said.sets.empty()) client.id = said.sets.substr(0, said.sets.find(';'));
          if (seed == 811) stage.router.sweep(now);
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    const Census census = stage.router.table().census();
    CHECK(is_balanced(census));
    CHECK(census.books.all.begun() > 0);
    CHECK(census.books.all[Event::lost] > 0);
    // Sessions that were moving when the last answer came have places at two backends.
    for (size_t i = 0; i < SessionTable::kSweeps; ++i) stage.router.sweep(kNow + 10'000);
    CHECK(stage.live() == 0);
    stage.check_books();
  }
}

TEST_CASE("requests of one client that arrive at once agree on its new home") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    for (uint64_t round = 0; round < 100; ++round) {
      Stage stage(pool_of(6, {kind}));
      const Result first =
          stage.send({.client = address(round), .sets = "JSESSIONID=id" + std::to_string(round)});
      stage.set(first.slot(), BackendState::down);
      const Said said = known_client(kind, round, first);
      std::array<Slot, 4> chosen{};
      std::vector<std::thread> requests;
      for (Slot& slot : chosen) requests.emplace_back([&] { slot = stage.choose(said, {}).slot; });
      for (std::thread& request : requests) request.join();
      for (const Slot slot : chosen) REQUIRE(slot == chosen[0]);
      REQUIRE(chosen[0] != first.slot());
      REQUIRE(stage.send(said).slot() == chosen[0]);
      REQUIRE(stage.count(Event::lost) == 1);
      stage.check_books();
    }
  }
}

TEST_CASE("first requests of one address that arrive at once open one session") {
  Stage stage(pool_of(6, {Kind::ip}));
  constexpr int kThreads = 3, kRounds = 3000;
  std::atomic<int> arrived{0};
  std::vector<std::thread> workers;
  for (int t = 0; t < kThreads; ++t) {
    workers.emplace_back([&] {
      for (int round = 1; round <= kRounds; ++round) {
        const Stage::Fields fields({.client = address(static_cast<uint64_t>(round))});
        const Identity identity = stage.router.identify(fields.request, stage.fleet, kNow);
        ++arrived;
        while (arrived < kThreads * round) std::this_thread::yield();  // then all go on together
        stage.router.choose(identity, stage.fleet, {}, kNow);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  CHECK(stage.count(Event::opened) == kRounds);
  stage.check_books();
}

}  // namespace limpet::routing::router_property_test
