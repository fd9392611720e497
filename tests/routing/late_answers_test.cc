// Answers that come when nobody waits for them there any more: what they tell of where a session's data is.
#include <doctest/doctest.h>

#include "routing/session_table.h"
#include "tests/routing/clients.h"

namespace limpet::routing::late_answers_test {

using namespace limpet::routing::test;
using Kind = conf::AffinityKind;
using Storage = conf::Storage;

conf::Pool pool_with(Kind kind, Storage storage) {
  conf::Pool pool = pool_of(3, {kind});
  pool.storage = storage;
  return pool;
}

// A session whose home is down, and two requests of it that go to the two others, one after the other.
struct SentOn : Known {
  explicit SentOn(const conf::Pool& pool) : Known(pool) {
    stage.set(home, BackendState::down);
    first = choose({});
    stage.set(first.slot, BackendState::down);
    second = choose({});
    stage.set(first.slot, BackendState::up);
    REQUIRE(second.slot != first.slot);
    REQUIRE(second.slot != home);
  }
  Choice first, second;
};

// An address's first two requests. The second is sent on by the backend that the first has reached.
struct Reassigned {
  explicit Reassigned(Storage storage) : stage(pool_with(Kind::ip, storage)) {
    first = stage.choose(said, {});
    Tried tried;
    tried.add(first.slot);
    second = stage.choose(said, tried);
    CHECK(stage.count(first.slot, Event::reassigned) == 1);
  }
  Stage stage;
  Said said;
  Choice first, second;
};

TEST_CASE(
    "a client that a backend answers after its session was sent on is logged out twice, and counted twice") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    SentOn it(pool_with(kind, Storage::local));
    if (kind == Kind::session_id) it.said.sets = it.said.cookie;
    it.stage.answer(it.said, it.first);
    CHECK(it.stage.count(it.home, Event::lost) == 1);
    CHECK(it.stage.homes().live(it.first.slot) == 1);
    CHECK(it.stage.choose(it.said, {}).slot == it.second.slot);  // it goes there all the same
    it.stage.answer(it.said, it.second);
    CHECK(it.stage.count(it.first.slot, Event::lost) == 1);
    CHECK(it.stage.count(Event::lost) == 2);
    CHECK(it.stage.count(Event::opened) == 3);
    CHECK(it.send().slot() == it.second.slot);
    CHECK(it.stage.count(Event::lost) == 2);
    it.stage.check_books();
  }
}

TEST_CASE("a session that a late answer took along is carried twice where its data is everywhere") {
  SentOn it(pool_with(Kind::ip, Storage::shared));
  it.stage.answer(it.said, it.first);
  it.stage.answer(it.said, it.second);
  CHECK(it.stage.count(Event::carried) == 2);
  CHECK(it.stage.count(Event::lost) == 0);
  it.stage.check_books();
}

TEST_CASE("an answer that comes after that of the session's home tells nothing") {
  SentOn it(pool_with(Kind::ip, Storage::local));
  it.stage.answer(it.said, it.second);
  it.stage.answer(it.said, it.first);
  CHECK(it.stage.count(Event::lost) == 1);
  CHECK(it.stage.homes().live(it.second.slot) == 1);
  it.stage.check_books();
}

TEST_CASE("the token of a late answer names the backend that gave it: it has the data") {
  SentOn it(pool_with(Kind::cookie, Storage::local));
  const Result late = it.stage.answer(it.said, it.first);
  Stage restarted(pool_with(Kind::cookie, Storage::local));
  CHECK(restarted.send({.cookie = Stage::cookie(late)}).slot() == it.first.slot);
}

TEST_CASE(
    "a first request that is answered after another was reassigned has begun what the other's answer ends") {
  Reassigned it(Storage::local);
  it.stage.answer(it.said, it.first);
  CHECK(it.stage.count(it.second.slot, Event::reassigned) == 1);
  CHECK(it.stage.homes().live(it.first.slot) == 1);
  it.stage.answer(it.said, it.second);
  CHECK(it.stage.count(it.first.slot, Event::lost) == 1);
  CHECK(it.stage.count(Event::opened) == 2);
  CHECK(it.stage.send(it.said).slot() == it.second.slot);
  it.stage.check_books();
}

TEST_CASE("a first request that is answered after another was reassigned and answered has begun nothing") {
  Reassigned it(Storage::local);
  it.stage.answer(it.said, it.second);
  it.stage.answer(it.said, it.first);
  CHECK(it.stage.count(Event::lost) == 0);
  CHECK(it.stage.count(Event::reassigned) == 1);
  CHECK(it.stage.homes().live(it.second.slot) == 1);
  it.stage.check_books();
}

TEST_CASE("what overlapping first requests begin at two backends is carried where its data is everywhere") {
  Reassigned it(Storage::replicated);
  it.stage.answer(it.said, it.first);
  it.stage.answer(it.said, it.second);
  CHECK(it.stage.count(Event::carried) == 1);
  CHECK(it.stage.count(Event::opened) == 1);
  it.stage.check_books();
}

TEST_CASE("a guess is answered for a session that has begun and come to the same backend meanwhile") {
  Stage stage(pool_with(Kind::session_id, Storage::local));
  const Said said{.cookie = "JSESSIONID=a"}, adopted{.cookie = "JSESSIONID=a", .sets = "JSESSIONID=a"};
  const Choice guess = stage.choose(said, {});
  Tried tried;
  tried.add(guess.slot);
  const Choice other = stage.choose(said, tried);
  stage.answer(adopted, other);
  stage.set(other.slot, BackendState::down);
  const Choice moved = stage.choose(said, {});
  CHECK(moved.slot == guess.slot);
  stage.answer(said, guess);
  CHECK(stage.count(other.slot, Event::lost) == 1);
  stage.answer(said, moved);
  CHECK(stage.count(Event::lost) == 1);
  stage.check_books();
}

TEST_CASE("a session that an operator pins to where it is on its way is moved there, whatever its affinity") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    Known known(pool_with(kind, Storage::local));
    known.stage.set(known.home, BackendState::down);
    const Choice choice = known.choose({});
    CHECK(known.stage.router.pin(known.name, choice.slot, kNow));
    CHECK(known.stage.count(known.home, Event::moved) == 1);
    known.stage.answer(known.said, choice);
    CHECK(known.send().slot() == choice.slot);
    CHECK(known.stage.count(Event::lost) == 0);
    known.stage.check_books();
  }
}

}  // namespace limpet::routing::late_answers_test
