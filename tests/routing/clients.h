// Requests and answers for a router under test, written as what a client and an application say.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "routing/memory.h"
#include "routing/router.h"
#include "routing/session_table.h"
#include "tests/routing/balance.h"

namespace limpet::routing::test {

inline constexpr uint32_t kNow = 1'700'000'000;

// A pool "shop" of `size` backends app-0, app-1, ...; ids are JSESSIONID cookies; idle_timeout is 30 minutes.
inline conf::Pool pool_of(size_t size, std::vector<conf::AffinityKind> affinity) {
  conf::Pool pool;
  pool.name = "shop";
  pool.dormant_timeout = std::chrono::seconds(0);
  pool.affinity = std::move(affinity);
  pool.session_id.sources = {{conf::SessionIdSource::Place::cookie, "JSESSIONID"}};
  pool.backends.resize(size);
  for (size_t i = 0; i < size; ++i) pool.backends[i].name = "app-" + std::to_string(i);
  return pool;
}

struct Said {
  std::string cookie{};              // the request's Cookie field
  std::string client = "192.0.2.9";  // empty: a peer without an address
  std::string method = "GET";
  std::string sets{};    // the answer's Set-Cookie field; empty: none
  std::string header{};  // the answer's X-Session field; empty: none
  int status = 200;
  uint32_t at = 0;      // seconds after kNow
  uint32_t jumped = 0;  // by so many seconds somebody has set the wall clock forward

  Now now() const { return {kNow + at + jumped, kNow + at}; }
};

struct Result {
  Choice choice;
  std::optional<std::string> token;
  Slot slot() const { return choice.slot; }
  Reason reason() const { return choice.reason; }
};

// A router with its fleet.
struct Stage {
  explicit Stage(const conf::Pool& pool)
      : router(pool, {std::string(32, 'k')}, std::string(32, 's'), Router::new_memory(pool)),
        fleet(Fleet::from(pool)) {}

  // One exchange from request to answer; an answer comes where a backend was chosen.
  Result send(const Said& said) {
    const Identity identity = identify(said);
    const Choice choice = router.choose(identity, fleet, {}, said.now());
    return choice ? answer(said, identity, choice) : Result{choice, {}};
  }

  // The same in two halves.
  Choice choose(const Said& said, const Tried& tried) {
    return router.choose(identify(said), fleet, tried, said.now());
  }
  Result answer(const Said& said, const Choice& choice) { return answer(said, identify(said), choice); }

  static std::string cookie(const Result& result) { return "limpet_shop=" + result.token.value(); }
  uint64_t count(Event event) { return router.table().census().books.all[event]; }
  uint64_t count(Slot slot, Event event) { return homes().census(slot).books.all[event]; }
  uint64_t live() { return router.table().census().live; }

  // A backend's state changes, and with it whether it is in service as a home.
  void set(Slot slot, BackendState state) {
    fleet.backends[slot].state = state;
    router.table().homes().set_in_service(slot, fleet.backends[slot].serves_its_own());
  }

  // No reservation is left, no session is moving, and every session is accounted for.
  void check_books() {
    CHECK(is_balanced(router.table().census()));
    for (size_t i = 0; i < fleet.backends.size(); ++i) {
      const auto slot = static_cast<Slot>(i);
      CHECK(homes().load(slot) == homes().live(slot));
      CHECK(is_balanced(homes().census(slot)));
    }
    CHECK(is_balanced(homes().census(kGoneSlot)));
  }

  Identity identify(const Said& said) { return router.identify(Fields(said).request, fleet, said.now()); }
  Result answer(const Said& said, const Identity& identity, const Choice& choice) {
    const Fields fields(said);
    const Now now = said.now();
    return {choice, router.account(identity, choice, fleet, fields.request, fields.response, now).token};
  }

  Homes& homes() { return router.table().homes(); }
  const Memory& memory() { return *router.memory(); }

  struct Fields {
    explicit Fields(const Said& said) : method(said.method) {
      if (!said.cookie.empty()) sent.push_back({"Cookie", said.cookie});
      if (!said.sets.empty()) answered.push_back({"Set-Cookie", said.sets});
      if (!said.header.empty()) answered.push_back({"X-Session", said.header});
      request.method = method;
      request.target = "/";
      request.fields = sent;
      if (!said.client.empty()) request.client = conf::IpAddress::parse(said.client).value();
      response.status = said.status;
      response.fields = answered;
    }
    std::string method;
    std::vector<Field> sent, answered;
    RequestView request;
    ResponseView response;
  };

  Router router;
  Fleet fleet;
};

// A stage with one session, that is known under `said`, at its home.
struct Known {
  explicit Known(const conf::Pool& pool) : stage(pool) {
    const bool by_cookie = pool.affinity.front() == conf::AffinityKind::cookie;
    const Result first = stage.send({.sets = "JSESSIONID=a"});
    home = first.slot();
    said.cookie = by_cookie ? Stage::cookie(first) : "JSESSIONID=a";
    const bool by_address = pool.affinity.front() == conf::AffinityKind::ip;
    name = by_address ? said.client : said.cookie.substr(said.cookie.find('=') + 1);
  }
  Result send() { return stage.send(said); }
  Choice choose(const Tried& tried) { return stage.choose(said, tried); }
  uint64_t key() { return stage.identify(said).key; }
  Slot other() const { return home == 0 ? Slot{1} : Slot{0}; }

  Stage stage;
  Said said;
  std::string name;  // what operators call it
  Slot home = kNoSlot;
};

}  // namespace limpet::routing::test
