// Where requests go when a home does not serve, what that costs under each kind of storage, and how sessions
// come home again.
#include <doctest/doctest.h>

#include "routing/session_table.h"
#include "tests/routing/clients.h"

namespace limpet::routing::failover_test {

using namespace limpet::routing::test;
using Kind = conf::AffinityKind;
using Storage = conf::Storage;

conf::Pool pool_with(Kind kind, Storage storage) {
  conf::Pool pool = pool_of(4, {kind});
  pool.storage = storage;
  return pool;
}

Tried tried_in_vain(Slot slot) {
  Tried tried;
  tried.add(slot);
  return tried;
}

// --- What a failover costs ---

TEST_CASE("where sessions are kept outside or everywhere a failover carries them, whatever the affinity") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    for (const Storage storage : {Storage::shared, Storage::replicated}) {
      CAPTURE(static_cast<int>(kind));
      Known known(pool_with(kind, storage));
      known.stage.set(known.home, BackendState::down);
      CHECK(known.send().reason() == Reason::failed_over);
      CHECK(known.stage.count(Event::lost) == 0);
      CHECK(known.stage.count(Event::carried) == 1);
      CHECK(known.stage.count(Event::opened) == 1);
      known.stage.check_books();
    }
  }
}

TEST_CASE("where sessions are kept locally a failover loses them, whatever the affinity") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    Known known(pool_with(kind, Storage::local));
    known.stage.set(known.home, BackendState::maintenance);
    CHECK(known.send().reason() == Reason::failed_over);
    CHECK(known.stage.count(Event::lost) == 1);
    CHECK(known.stage.count(Event::carried) == 0);
    CHECK(known.stage.homes().live(known.home) == 0);
    known.stage.check_books();
  }
}

TEST_CASE("a session goes to its home's backup, the named one, and is carried") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    conf::Pool pool = pool_with(kind, Storage::backup);
    for (size_t i = 0; i < 4; ++i) pool.backends[i].backup = pool.backends[(i + 1) % 4].name;
    Known known(pool);
    known.stage.set(known.home, BackendState::down);
    CHECK(known.send().slot() == (known.home + 1) % 4);
    CHECK(known.stage.count(Event::carried) == 1);
    known.stage.check_books();
  }
}

TEST_CASE(
    "where no backup is named any backend has the copy, unless others are away as well, or were since: then "
    "it may be lost") {
  enum class Other : uint8_t { stays, was_away_before, goes, goes_and_comes_back };
  for (const Other other : {Other::stays, Other::was_away_before, Other::goes, Other::goes_and_comes_back}) {
    Known known(pool_with(Kind::cookie, Storage::backup));
    const auto slot = static_cast<Slot>((known.home + 1) % 4);
    if (other == Other::was_away_before) {
      known.stage.set(slot, BackendState::down);
      known.stage.set(slot, BackendState::up);
    }
    known.stage.set(known.home, BackendState::down);
    if (other >= Other::goes) known.stage.set(slot, BackendState::maintenance);
    if (other == Other::goes_and_comes_back) known.stage.set(slot, BackendState::up);
    known.send();
    CHECK(known.stage.count(Event::carried) == 1);
    CHECK(known.stage.count(Event::lost) == 0);
    CHECK(known.stage.count(Event::uncertain) == (other >= Other::goes ? 1 : 0));
    known.stage.check_books();
  }
}

TEST_CASE("a session whose home's backup is out of service too, or full, is lost elsewhere") {
  for (const bool full : {false, true}) {
    conf::Pool pool = pool_with(Kind::cookie, Storage::backup);
    for (size_t i = 0; i < 4; ++i) pool.backends[i].backup = pool.backends[(i + 1) % 4].name;
    Known known(pool);
    const auto backup = static_cast<Slot>((known.home + 1) % 4);
    if (full) {
      known.stage.fleet.backends[backup].max_sessions = 1;
      REQUIRE(known.stage.homes().reserve(backup, 1));
    } else {
      known.stage.set(backup, BackendState::draining);
    }
    known.stage.set(known.home, BackendState::down);
    const Slot refuge = known.send().slot();
    CHECK(refuge != backup);
    CHECK(refuge != known.home);
    CHECK(known.stage.count(Event::lost) == 1);
    CHECK(known.stage.count(Event::carried) == 0);
  }
}

TEST_CASE("a session that failed over is at home at its backup, and has that one's backup from then on") {
  conf::Pool pool = pool_with(Kind::cookie, Storage::backup);
  for (size_t i = 0; i < 4; ++i) pool.backends[i].backup = pool.backends[(i + 1) % 4].name;
  Known known(pool);
  for (uint32_t i = 1; i <= 3; ++i) {
    known.stage.set(static_cast<Slot>((known.home + i - 1) % 4), BackendState::down);
    CHECK(known.send().slot() == (known.home + i) % 4);
    CHECK(known.stage.count(Event::carried) == i);
  }
  CHECK(known.stage.count(Event::lost) == 0);
}

// --- Going home ---

TEST_CASE("a dead backend's sessions spread over the others by weight, and alike in every balancer") {
  const uint32_t weights[] = {1, 100, 100, 200, 400};
  for (const Kind kind : {Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    conf::Pool pool = pool_of(5, {kind});
    Stage here(pool), there(pool);
    for (size_t i = 1; i < 5; ++i) here.fleet.backends[i].weight = 0;  // so that all begin at the first
    std::vector<Said> clients;
    for (int i = 0; i < 10'000; ++i) {
      Said said{.sets = "JSESSIONID=" + std::to_string(i)};
      const Result begun = here.send(said);
      REQUIRE(begun.slot() == 0);
      said.cookie = kind == Kind::cookie ? Stage::cookie(begun) : said.sets;
      clients.push_back(said);
    }
    for (Stage* stage : {&here, &there}) {
      for (size_t i = 0; i < 5; ++i) stage->fleet.backends[i].weight = weights[i];
      stage->set(0, BackendState::down);
    }
    here.fleet.backends[3].warmth = 10;  // it came back a moment ago, as this one saw it
    std::vector<double> got(5);
    for (Said& said : clients) {
      if (kind == Kind::session_id) said.sets.clear();
      const Slot slot = here.send(said).slot();
      ++got[slot];
      if (kind == Kind::cookie) CHECK(there.send(said).slot() == slot);
    }
    for (size_t i = 1; i < 5; ++i) CHECK(got[i] / 10'000 == doctest::Approx(weights[i] / 800.0).epsilon(0.1));
  }
}

TEST_CASE("a session stays where it failed over to when its first home is back") {
  Known known(pool_with(Kind::cookie, Storage::shared));
  known.stage.set(known.home, BackendState::down);
  const Slot refuge = known.send().slot();
  known.stage.set(known.home, BackendState::up);
  CHECK(known.send().slot() == refuge);
  CHECK(known.send().reason() == Reason::bound);
}

TEST_CASE("under failback = return a session goes back to its first home, once that takes sessions again") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    conf::Pool pool = pool_with(kind, Storage::shared);
    pool.failback = conf::Failback::go_home;
    Known known(pool);
    known.stage.set(known.home, BackendState::down);
    const Slot refuge = known.send().slot();
    known.stage.set(known.home, BackendState::draining);
    CHECK(known.send().slot() == refuge);
    known.stage.set(known.home, BackendState::up);
    const Result back = known.send();
    CHECK(back.slot() == known.home);
    CHECK(back.reason() == Reason::failed_back);
    CHECK(known.send().reason() == Reason::bound);
    CHECK(known.stage.count(Event::carried) == 2);
    CHECK(known.stage.homes().census(refuge).failed_back == 1);
    known.stage.check_books();
  }
}

TEST_CASE("until another backend has answered it, a home that is back has its session back") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    Known known(pool_with(kind, Storage::local));
    known.stage.set(known.home, BackendState::down);
    CHECK(known.stage.choose(known.said, {}).slot != known.home);  // its client leaves before the answer
    known.stage.set(known.home, BackendState::up);
    CHECK(known.send().slot() == known.home);
    CHECK(known.stage.count(Event::lost) == 0);
    CHECK(known.stage.count(Event::recovered) == 1);
    known.stage.check_books();
  }
}

TEST_CASE("so has a home whose application has not said whether it knows the id") {
  Known known(pool_of(3, {Kind::session_id}));
  known.stage.set(known.home, BackendState::down);
  const Slot home = known.send().slot();  // which says nothing: it may have taken the id up
  known.stage.set(home, BackendState::down);
  known.stage.router.release(known.choose({}));
  known.stage.set(home, BackendState::up);
  CHECK(known.send().slot() == home);
  CHECK(known.stage.count(Event::uncertain) == 0);
  known.stage.check_books();
}

TEST_CASE("a session goes back past a second refuge to its very first home") {
  conf::Pool pool = pool_with(Kind::cookie, Storage::shared);
  pool.failback = conf::Failback::go_home;
  Known known(pool);
  known.stage.set(known.home, BackendState::down);
  const Slot first = known.send().slot();
  known.stage.set(first, BackendState::down);
  const Slot second = known.send().slot();
  CHECK(second != first);
  known.stage.set(first, BackendState::up);
  CHECK(known.send().slot() == second);
  known.stage.set(known.home, BackendState::up);
  CHECK(known.send().slot() == known.home);
}

TEST_CASE(
    "a session whose first home is back before its refuge has answered goes there, and has lost nothing") {
  for (const conf::Failback failback : {conf::Failback::stay, conf::Failback::go_home}) {
    conf::Pool pool = pool_with(Kind::cookie, Storage::local);
    pool.failback = failback;
    Known known(pool);
    known.stage.set(known.home, BackendState::down);
    const Choice refuge = known.choose({});
    CHECK(refuge.reason == Reason::failed_over);
    known.stage.set(known.home, BackendState::up);
    CHECK(known.choose({}).slot == known.home);
    CHECK(known.stage.router.table().homes().load(refuge.slot) == 0);
    CHECK(known.choose(tried_in_vain(refuge.slot)).slot == known.home);
    CHECK(known.send().slot() == known.home);
    CHECK(known.stage.count(Event::lost) == 0);
    known.stage.check_books();
  }
}

TEST_CASE("under failback = return a first home that is full keeps no session from its place") {
  conf::Pool pool = pool_with(Kind::cookie, Storage::shared);
  pool.failback = conf::Failback::go_home;
  Known known(pool);
  known.stage.set(known.home, BackendState::down);
  const Slot refuge = known.send().slot();
  known.stage.set(known.home, BackendState::up);
  known.stage.fleet.backends[known.home].max_sessions = 1;
  REQUIRE(known.stage.homes().reserve(known.home, 1));
  CHECK(known.send().slot() == refuge);
  known.stage.homes().release(known.home);
  CHECK(known.send().slot() == known.home);
  known.stage.check_books();
}

// --- Homes that left for good ---

TEST_CASE(
    "a token of a backend that is no more opens a session that is lost or carried, and none comes back to "
    "it") {
  for (const conf::Failback failback : {conf::Failback::stay, conf::Failback::go_home}) {
    for (const Storage storage : {Storage::local, Storage::backup, Storage::shared}) {
      conf::Pool pool = pool_with(Kind::cookie, storage);
      pool.failback = failback;
      Known known(pool);
      pool.backends.erase(pool.backends.begin() + known.home);
      Stage smaller(pool);
      const Slot home = smaller.send(known.said).slot();
      CHECK(smaller.count(Event::restored) == 1);
      CHECK(smaller.count(Event::lost) == (storage == Storage::local ? 1 : 0));
      CHECK(smaller.count(Event::carried) == (storage == Storage::local ? 0 : 1));
      CHECK(smaller.count(Event::uncertain) == (storage == Storage::backup ? 1 : 0));
      for (int i = 0; i < 3; ++i) CHECK(smaller.send(known.said).slot() == home);
      CHECK(smaller.homes().live(kGoneSlot) == 0);
      smaller.check_books();
    }
  }
}

TEST_CASE("a session of a backend that is no more waits for nobody") {
  conf::Pool pool = pool_with(Kind::cookie, Storage::local);
  Known known(pool);
  pool.backends.erase(pool.backends.begin() + known.home);
  Stage smaller(pool);
  Tried patient;
  patient.patient = true;
  CHECK(smaller.choose(known.said, patient).reason == Reason::failed_over);
}

// --- Waiting ---

TEST_CASE(
    "a patient request is told to wait for its home while that is down, not while it is in maintenance") {
  Known known(pool_with(Kind::cookie, Storage::local));
  Tried patient;
  patient.patient = true;
  known.stage.set(known.home, BackendState::down);
  const Choice away = known.choose(patient);
  CHECK_FALSE(away);
  CHECK(away.reason == Reason::away);
  CHECK(away.home == known.home);
  CHECK(known.stage.homes().live(known.home) == 1);
  known.stage.check_books();  // nothing has moved
  known.stage.set(known.home, BackendState::up);
  CHECK(known.choose(patient).slot == known.home);
  known.stage.set(known.home, BackendState::maintenance);
  CHECK(known.choose(patient).reason == Reason::failed_over);
}

TEST_CASE("a patient request whose patience is over goes elsewhere, by its home in the tried ones") {
  Known known(pool_with(Kind::cookie, Storage::local));
  Tried patient;
  patient.patient = true;
  known.stage.set(known.home, BackendState::down);
  patient.add(known.choose(patient).home);
  CHECK(known.choose(patient).reason == Reason::failed_over);
}

TEST_CASE("under failover = refuse a patient request waits first") {
  conf::Pool pool = pool_with(Kind::cookie, Storage::local);
  pool.failover = conf::Failover::refuse;
  Known known(pool);
  known.stage.set(known.home, BackendState::down);
  Tried patient;
  patient.patient = true;
  CHECK(known.choose(patient).reason == Reason::away);
  CHECK(known.choose({}).reason == Reason::refused);
}

TEST_CASE("new sessions wait for nobody") {
  Stage stage(pool_of(2, {Kind::cookie}));
  stage.set(0, BackendState::down);
  Tried patient;
  patient.patient = true;
  CHECK(stage.choose({}, patient).slot == 1);
}

// --- Paths that need no home ---

TEST_CASE("a request whose path needs no home goes anywhere, and moves and touches no session") {
  conf::Pool pool = pool_with(Kind::cookie, Storage::local);
  pool.stateless_paths = {"/static", "/login"};
  Known known(pool);
  known.stage.set(known.home, BackendState::down);
  Stage::Fields fields(known.said);
  for (const char* target : {"/static", "/static/a.css", "/login?next=/"}) {
    fields.request.target = target;
    const Identity identity = known.stage.router.identify(fields.request, known.stage.fleet, kNow);
    const Choice choice = known.stage.router.choose(identity, known.stage.fleet, {}, kNow);
    CHECK(choice.reason == Reason::stateless);
    CHECK(choice.slot != known.home);
    const Outcome outcome = known.stage.router.account(identity, choice, known.stage.fleet, fields.request,
                                                       fields.response, kNow);
    CHECK_FALSE(outcome.token);
  }
  CHECK(known.stage.count(Event::opened) == 1);
  CHECK(known.stage.router.table().census().live_returned == 0);
  CHECK(known.stage.homes().live(known.home) == 1);
  known.stage.check_books();
  fields.request.target = "/statics";
  CHECK(known.stage.router.identify(fields.request, known.stage.fleet, kNow).tracked);
}

TEST_CASE("what needs no home goes to the backend that knows the client's connection, while that takes it") {
  conf::Pool pool = pool_of(3, {Kind::cookie});
  pool.placement = conf::Placement::round_robin;
  pool.stateless_paths = {"/static"};
  Stage stage(pool);
  Tried tried;
  tried.known = 1;
  const Said said;
  Stage::Fields fields(said);
  for (const char* target : {"/", "/static"}) {
    fields.request.target = target;
    const Identity identity = stage.router.identify(fields.request, stage.fleet, kNow);
    for (int i = 0; i < 6; ++i) {
      const Choice choice = stage.router.choose(identity, stage.fleet, tried, kNow);
      CHECK(choice.slot == 1);
      stage.router.release(choice);
    }
    Tried in_vain = tried;
    in_vain.add(1);
    const Choice elsewhere = stage.router.choose(identity, stage.fleet, in_vain, kNow);
    CHECK(elsewhere.slot != 1);
    stage.router.release(elsewhere);
    stage.set(1, BackendState::draining);
    const Choice drained = stage.router.choose(identity, stage.fleet, tried, kNow);
    CHECK(drained.slot != 1);
    stage.router.release(drained);
    stage.set(1, BackendState::up);
  }
  stage.check_books();
}

TEST_CASE("where every backend is full what needs no session is served, and fills nothing") {
  conf::Pool pool = pool_of(2, {Kind::cookie});
  pool.stateless_paths = {"/static"};
  for (conf::Backend& backend : pool.backends) backend.max_sessions = 1;
  Stage stage(pool);
  Stage::Fields preflight({});
  preflight.request.method = "OPTIONS";
  preflight.sent.push_back({"Access-Control-Request-Method", "PUT"});
  preflight.request.fields = preflight.sent;
  Stage::Fields page({});
  page.request.target = "/static/logo.png";
  const auto serve = [&](const Stage::Fields& fields) {
    const Identity identity = stage.router.identify(fields.request, stage.fleet, kNow);
    const Choice choice = stage.router.choose(identity, stage.fleet, {}, kNow);
    REQUIRE(choice);
    CHECK(choice.reason == Reason::stateless);
    CHECK_FALSE(
        stage.router.account(identity, choice, stage.fleet, fields.request, fields.response, kNow).token);
  };
  for (int i = 0; i < 10; ++i) serve(preflight), serve(page);
  CHECK(stage.live() == 0);
  for (int i = 0; i < 2; ++i) CHECK(stage.send({}).reason() == Reason::placed);
  CHECK(stage.send({}).reason() == Reason::full);
  for (int i = 0; i < 10; ++i) serve(preflight), serve(page);
  stage.check_books();
}

TEST_CASE("clients that keep nothing take no place of those who come back, and have as much room again") {
  conf::Pool pool = pool_of(1, {Kind::cookie});
  pool.backends[0].max_sessions = 3;
  Stage stage(pool);
  std::vector<Result> come_back;
  for (int i = 0; i < 2; ++i) {
    come_back.push_back(stage.send({}));
    CHECK(stage.send({.cookie = stage.cookie(come_back.back())}).reason() == Reason::bound);
  }
  for (int i = 0; i < 3; ++i) CHECK(stage.send({}).reason() == Reason::placed);
  CHECK(stage.send({}).reason() == Reason::full);
  CHECK(stage.live() == 5);
  for (const Result& each : come_back)
    CHECK(stage.send({.cookie = stage.cookie(each)}).reason() == Reason::bound);
  stage.check_books();
}

TEST_CASE("requests to paths that need no home take turns, wherever sessions are placed") {
  for (const auto placement : {conf::Placement::least_sessions, conf::Placement::round_robin,
                               conf::Placement::hash, conf::Placement::random_two}) {
    conf::Pool pool = pool_of(3, {Kind::cookie});
    pool.placement = placement;
    pool.stateless_paths = {"/"};
    Stage stage(pool);
    stage.homes().reserve(1, 0);  // not where the fewest sessions are
    std::array<int, 3> counts{};
    for (int i = 0; i < 30; ++i) ++counts[stage.send({}).slot()];
    for (const int count : counts) CHECK(count == 10);
    stage.homes().release(1);
    CHECK(stage.live() == 0);
    stage.check_books();
  }
}

}  // namespace limpet::routing::failover_test
