// One request at a time through a router: which backend, why, and what the answer changes.
#include "routing/router.h"

#include <doctest/doctest.h>

#include "routing/session_table.h"
#include "tests/routing/clients.h"

namespace limpet::routing::router_test {

using namespace limpet::routing::test;
using Kind = conf::AffinityKind;
using Place = conf::SessionIdSource::Place;

// --- The cookie ---

TEST_CASE("a client without a cookie is placed, gets a token, and is bound by it from then on") {
  Stage stage(pool_of(3, {Kind::cookie}));
  const Result first = stage.send({});
  CHECK(first.reason() == Reason::placed);
  REQUIRE(first.token);
  for (int i = 0; i < 10; ++i) {
    const Result next = stage.send({.cookie = stage.cookie(first)});
    CHECK(next.slot() == first.slot());
    CHECK(next.reason() == Reason::bound);
    CHECK_FALSE(next.token);
  }
  CHECK(stage.count(Event::opened) == 1);
  stage.check_books();
}

TEST_CASE("a token that this process does not know names its home, and the session is restored") {
  Stage one(pool_of(5, {Kind::cookie}));
  const Result first = one.send({});
  for (int i = 0; i < 10; ++i) {
    Stage other(pool_of(5, {Kind::cookie}));
    const Result next = other.send({.cookie = one.cookie(first)});
    CHECK(next.slot() == first.slot());
    CHECK(next.reason() == Reason::token);
    CHECK(other.send({.cookie = one.cookie(first)}).reason() == Reason::bound);
    CHECK(other.count(Event::restored) == 1);
    CHECK(other.count(Event::opened) == 0);
    other.check_books();
  }
}

TEST_CASE("a token that does not verify is counted, not trusted, and replaced") {
  Stage stage(pool_of(2, {Kind::cookie}));
  const Result result = stage.send({.cookie = "limpet_shop=" + std::string(70, 'A')});
  CHECK(result.reason() == Reason::placed);
  CHECK(result.token);
  CHECK(stage.memory().unverified_tokens == 1);
}

TEST_CASE("of several cookies of the pool's name the first that opens counts") {
  Stage stage(pool_of(2, {Kind::cookie}));
  const Result first = stage.send({});
  const Result next = stage.send({.cookie = "limpet_shop=forged; " + stage.cookie(first)});
  CHECK(next.reason() == Reason::bound);
  CHECK(next.slot() == first.slot());
}

// HAProxy 2.6 looks through any number of cookies, since it compares names; an opening costs a decryption.
TEST_CASE("a request that brings a hundred cookies like tokens costs sixteen openings") {
  Stage stage(pool_of(2, {Kind::cookie}));
  std::string cookies;
  for (int i = 0; i < 100; ++i) cookies += "limpet_shop=" + std::string(70, 'A') + ";";
  stage.send({.cookie = cookies});
  CHECK(stage.memory().unverified_tokens == 16);
}

TEST_CASE(
    "a token is found behind fifteen that are none, and behind any number of cookies without its length") {
  Stage stage(pool_of(2, {Kind::cookie}));
  const Result first = stage.send({});
  std::string cookies;
  for (int i = 0; i < 15; ++i) cookies += "limpet_shop=" + std::string(70, 'A') + ";";
  for (int i = 0; i < 100; ++i) cookies += "limpet_shop=x;";
  const Result next = stage.send({.cookie = cookies + stage.cookie(first)});
  CHECK(next.reason() == Reason::bound);
  CHECK(next.slot() == first.slot());
}

TEST_CASE("of two tokens of one session the one of its later choice leads home, wherever it stands") {
  for (const std::vector<Kind>& affinity : {std::vector{Kind::cookie}, {Kind::session_id, Kind::cookie}}) {
    Stage stage(pool_of(3, affinity));
    const std::string id = affinity.size() == 2 ? "JSESSIONID=a; " : "";
    const Result first = stage.send({.sets = "JSESSIONID=a"});
    const std::string one = stage.cookie(first);
    stage.set(first.slot(), BackendState::down);
    const Result second = stage.send({.cookie = id + one, .sets = "JSESSIONID=a"});
    const std::string other = stage.cookie(second);
    REQUIRE(second.slot() != first.slot());
    for (const std::string& both : {one + "; " + other, other + "; " + one}) {
      Stage restarted(pool_of(3, affinity));
      CHECK(restarted.send({.cookie = id + both}).slot() == second.slot());
      CHECK(restarted.send({.cookie = id + one}).slot() == second.slot());
    }
  }
}

TEST_CASE("a token is sent again after a quarter of idle_timeout, for the same session and home") {
  Stage stage(pool_of(2, {Kind::cookie}));
  const Result first = stage.send({});
  CHECK_FALSE(stage.send({.cookie = stage.cookie(first), .at = 30}).token);
  CHECK_FALSE(stage.send({.cookie = stage.cookie(first), .at = 449}).token);
  const Result renewed = stage.send({.cookie = stage.cookie(first), .at = 450});
  REQUIRE(renewed.token);
  const Result next = stage.send({.cookie = stage.cookie(renewed), .at = 460});
  CHECK(next.reason() == Reason::bound);
  CHECK(next.slot() == first.slot());
  CHECK_FALSE(next.token);
  CHECK(stage.count(Event::opened) == 1);
}

TEST_CASE("a token is good for idle_timeout and a quarter since it was sent") {
  Stage one(pool_of(5, {Kind::cookie}));
  const Result first = one.send({});
  CHECK(Stage(pool_of(5, {Kind::cookie})).send({.cookie = one.cookie(first), .at = 2250}).reason() ==
        Reason::token);
  CHECK(Stage(pool_of(5, {Kind::cookie})).send({.cookie = one.cookie(first), .at = 2251}).reason() ==
        Reason::placed);
}

TEST_CASE("a session that idled out here is not brought back by its token's last quarter") {
  Stage stage(pool_of(5, {Kind::cookie}));
  const Result first = stage.send({});
  stage.send({.cookie = stage.cookie(first), .at = 10});
  CHECK(stage.send({.cookie = stage.cookie(first), .at = 1811}).reason() == Reason::placed);
  CHECK(stage.count(Event::opened) == 2);
  stage.check_books();
}

TEST_CASE("a session that goes on is known beyond its token's idle_timeout") {
  Stage stage(pool_of(5, {Kind::cookie}));
  const Result first = stage.send({});
  stage.send({.cookie = stage.cookie(first), .at = 440});
  CHECK(stage.send({.cookie = stage.cookie(first), .at = 2000}).reason() == Reason::bound);
}

TEST_CASE("a client that comes back late, when its session has idled out unreturned, still finds its home") {
  Stage stage(pool_of(5, {Kind::cookie}));
  for (int i = 0; i < 20; ++i) {
    const Result first = stage.send({});
    const Result late = stage.send({.cookie = stage.cookie(first), .at = 120});
    CHECK(late.slot() == first.slot());
    CHECK(late.reason() == Reason::token);
  }
  CHECK(stage.count(Event::expired) == 20);
  CHECK(stage.count(Event::restored) == 20);
  stage.check_books();
}

TEST_CASE("at absolute_timeout a session begins anew where it was, however busy its client was") {
  conf::Pool pool = pool_of(5, {Kind::cookie});
  pool.cookie.absolute_timeout = std::chrono::seconds(1000);
  Stage stage(pool);
  Result last = stage.send({});
  std::string cookie = stage.cookie(last);
  stage.send({.cookie = cookie});
  for (uint32_t at = 100; at <= 1000; at += 100) {
    last = stage.send({.cookie = cookie, .at = at});
    CHECK(last.reason() == Reason::bound);
    if (last.token) cookie = stage.cookie(last);
  }
  const Result anew = stage.send({.cookie = cookie, .at = 1001});
  CHECK(anew.reason() == Reason::placed);
  CHECK(anew.slot() == last.slot());
  REQUIRE(anew.token);
  CHECK(stage.count(Event::expired) == 1);
  CHECK(stage.count(Event::opened) == 2);
  CHECK(stage.live() == 1);
  cookie += "; " + stage.cookie(anew);
  CHECK(stage.send({.cookie = cookie, .at = 1002}).reason() == Reason::bound);
  stage.set(anew.slot(), BackendState::draining);
  CHECK(stage.send({.cookie = stage.cookie(last.token ? last : anew), .at = 2500}).slot() == anew.slot());
  stage.set(anew.slot(), BackendState::down);
  CHECK(stage.send({.cookie = stage.cookie(anew), .at = 2500}).slot() != anew.slot());
  stage.check_books();
}

TEST_CASE("no session ends for a wall clock that somebody sets forward, and no token is void for it") {
  conf::Pool pool = pool_of(4, {Kind::cookie});
  pool.idle_timeout = pool.unreturned_timeout = std::chrono::seconds(600);
  Stage stage(pool);
  std::vector<Result> begun;
  for (int i = 0; i < 20; ++i) begun.push_back(stage.send({}));
  for (uint32_t at : {10u, 20u}) {
    for (Result& each : begun) {
      const Result next = stage.send({.cookie = stage.cookie(each), .at = at, .jumped = 3600});
      CHECK(next.reason() == Reason::bound);
      CHECK(next.slot() == each.slot());
      if (next.token) each = next;  // of the new time of day
    }
  }
  for (size_t i = 0; i < SessionTable::kSweeps; ++i) stage.router.sweep({kNow + 3630, kNow + 30});
  CHECK(stage.live() == 20);
  CHECK(stage.count(Event::expired) == 0);
  stage.check_books();
}

TEST_CASE("a token past absolute_timeout keeps nobody from the id that the table knows") {
  conf::Pool pool = pool_of(5, {Kind::session_id, Kind::cookie});
  pool.cookie.absolute_timeout = std::chrono::seconds(50);
  Stage stage(pool);
  const Result login = stage.send({.sets = "JSESSIONID=a"});
  const std::string token = stage.cookie(login);
  CHECK(stage.send({.cookie = "JSESSIONID=a; " + token, .at = 51}).reason() == Reason::bound);
  const Result anew = stage.send({.cookie = token, .at = 51});
  CHECK(anew.slot() == login.slot());
  CHECK(anew.token);
  stage.check_books();
}

TEST_CASE("a session whose home is down is lost, gets a token of its new home, and stays there") {
  Stage stage(pool_of(3, {Kind::cookie}));
  const Result first = stage.send({});
  stage.set(first.slot(), BackendState::down);
  const Result moved = stage.send({.cookie = stage.cookie(first)});
  CHECK(moved.reason() == Reason::failed_over);
  CHECK(moved.slot() != first.slot());
  REQUIRE(moved.token);
  stage.set(first.slot(), BackendState::up);
  for (const Result& holder : {first, moved}) {  // the table knows better than the old token
    const Result next = stage.send({.cookie = stage.cookie(holder)});
    CHECK(next.slot() == moved.slot());
    CHECK(next.reason() == Reason::bound);
  }
  CHECK(stage.count(Event::lost) == 1);
  CHECK(stage.count(Event::opened) == 2);  // its client began anew
  stage.check_books();
}

TEST_CASE(
    "a session whose home was tried in vain moves to another within the same request, and on from there") {
  Stage stage(pool_of(3, {Kind::cookie}));
  const Result first = stage.send({});
  Tried tried;
  tried.add(first.slot());
  const Choice second = stage.choose({.cookie = stage.cookie(first)}, tried);
  CHECK(second.reason == Reason::failed_over);
  CHECK(second.slot != first.slot());
  tried.add(second.slot);
  const Choice third = stage.choose({.cookie = stage.cookie(first)}, tried);
  CHECK(third.slot != first.slot());
  CHECK(third.slot != second.slot);
  tried.add(third.slot);
  CHECK(stage.choose({.cookie = stage.cookie(first)}, tried).reason == Reason::no_backend);
  CHECK(stage.count(Event::lost) == 0);  // nobody has answered yet
  CHECK(stage.homes().live(first.slot()) == 1);
  CHECK(stage.send({.cookie = stage.cookie(first)}).slot() == third.slot);
  CHECK(stage.count(Event::lost) == 1);
  CHECK(stage.homes().census(first.slot()).books.all[Event::lost] == 1);
  stage.check_books();
}

TEST_CASE("an answer that comes after its session moved on sends a token of the new home") {
  Stage stage(pool_of(3, {Kind::cookie}));
  const Result first = stage.send({});
  const Said due{.cookie = stage.cookie(first), .at = 500};
  stage.send({.cookie = stage.cookie(first), .at = 1});
  const Choice slow = stage.choose(due, {});
  stage.set(first.slot(), BackendState::down);
  const Result moved = stage.send(due);
  const Result late = stage.answer(due, slow);
  REQUIRE(late.token);
  Stage restarted(pool_of(3, {Kind::cookie}));
  CHECK(restarted.send({.cookie = "limpet_shop=" + *late.token, .at = 500}).slot() == moved.slot());
}

TEST_CASE("a token that is due while its session is on its way names the backend that has the data") {
  Stage stage(pool_of(3, {Kind::cookie}));
  const Result first = stage.send({});
  const Said due{.cookie = stage.cookie(first), .at = 500};
  stage.send({.cookie = stage.cookie(first), .at = 1});
  const Choice slow = stage.choose(due, {});
  stage.set(first.slot(), BackendState::down);
  CHECK(stage.choose(due, {}).reason == Reason::failed_over);  // and is not answered
  const Result late = stage.answer(due, slow);
  REQUIRE(late.token);
  Stage restarted(pool_of(3, {Kind::cookie}));
  restarted.set(first.slot(), BackendState::down);
  restarted.send({.cookie = "limpet_shop=" + *late.token, .at = 500});
  CHECK(restarted.count(Event::lost) == 1);
}

TEST_CASE("a session that comes back to where an older token says it is gets a token of it all the same") {
  Stage stage(pool_of(2, {Kind::cookie}));
  const Result first = stage.send({});
  const Said said{.cookie = stage.cookie(first)};
  stage.set(first.slot(), BackendState::down);
  const Result second = stage.send(said);
  REQUIRE(second.token);
  stage.set(first.slot(), BackendState::up);
  stage.set(second.slot(), BackendState::down);
  const Result third = stage.send(said);  // sent before the second's token arrived
  CHECK(third.slot() == first.slot());
  CHECK(third.token);
}

TEST_CASE("a draining backend keeps its own sessions and gets no new ones") {
  Stage stage(pool_of(2, {Kind::cookie}));
  const Result first = stage.send({});
  stage.set(first.slot(), BackendState::draining);
  CHECK(stage.send({.cookie = stage.cookie(first)}).reason() == Reason::bound);
  for (int i = 0; i < 20; ++i) CHECK(stage.send({}).slot() != first.slot());
}

TEST_CASE("under failover = refuse a session stays with its home, whether the table or a token knows it") {
  conf::Pool pool = pool_of(3, {Kind::cookie});
  pool.failover = conf::Failover::refuse;
  Stage stage(pool), restarted(pool);
  const Result first = stage.send({});
  for (Stage* at : {&stage, &restarted}) {
    at->set(first.slot(), BackendState::down);
    CHECK(at->send({.cookie = stage.cookie(first)}).reason() == Reason::refused);
    at->set(first.slot(), BackendState::up);
    CHECK(at->send({.cookie = stage.cookie(first)}).slot() == first.slot());
    CHECK(at->count(Event::lost) == 0);
    at->check_books();
  }
}

TEST_CASE("a session whose home left the pool goes on elsewhere under its own number, even under refuse") {
  conf::Pool pool = pool_of(3, {Kind::cookie});
  pool.failover = conf::Failover::refuse;
  Stage stage(pool);
  const Result first = stage.send({});
  pool.backends.erase(pool.backends.begin() + first.slot());
  Stage smaller(pool);
  const Result next = smaller.send({.cookie = stage.cookie(first)});
  CHECK(next.reason() == Reason::failed_over);
  REQUIRE(next.token);
  CHECK(smaller.send({.cookie = smaller.cookie(next)}).slot() == next.slot());
  CHECK(smaller.send({.cookie = stage.cookie(first)}).slot() == next.slot());
  CHECK(smaller.count(Event::restored) == 1);
  CHECK(smaller.count(Event::lost) == 1);
  CHECK(smaller.count(Event::opened) == 1);
  smaller.check_books();
}

TEST_CASE("where everybody is full the answer is full, and where nobody is usable it is no_backend") {
  conf::Pool pool = pool_of(2, {Kind::cookie});
  for (conf::Backend& backend : pool.backends) backend.max_sessions = 2;
  Stage stage(pool);
  for (int i = 0; i < 4; ++i) CHECK(stage.send({}).reason() == Reason::placed);
  CHECK(stage.send({}).reason() == Reason::full);
  for (const Slot slot : {Slot{0}, Slot{1}}) stage.set(slot, BackendState::down);
  CHECK(stage.send({}).reason() == Reason::no_backend);
  stage.check_books();
}

TEST_CASE("a request that gets no answer gives its reserved room back") {
  conf::Pool pool = pool_of(1, {Kind::cookie});
  pool.backends[0].max_sessions = 1;
  Stage stage(pool);
  for (int i = 0; i < 3; ++i) {
    const Choice choice = stage.choose({}, {});
    CHECK(choice.reserved);
    CHECK(stage.send({}).reason() == Reason::full);
    stage.router.release(choice);
  }
  CHECK(stage.send({}).reason() == Reason::placed);
}

// --- The address ---

TEST_CASE("an address opens its session with its first request and keeps its home") {
  Stage stage(pool_of(3, {Kind::ip}));
  const Result first = stage.send({.client = "192.0.2.1"});
  CHECK(first.reason() == Reason::hash);
  CHECK_FALSE(first.token);
  CHECK(stage.send({.client = "192.0.2.1"}).reason() == Reason::bound);
  CHECK(stage.send({.client = "192.0.2.1"}).slot() == first.slot());
  CHECK(stage.count(Event::opened) == 1);
  stage.check_books();
}

TEST_CASE("a full backend is passed over by addresses that are new") {
  conf::Pool pool = pool_of(2, {Kind::ip});
  pool.backends[0].max_sessions = 3;
  Stage stage(pool);
  for (int i = 1; i < 100; ++i) stage.send({.client = "192.0.2." + std::to_string(i)});
  CHECK(stage.homes().live(0) == 3);
  CHECK(stage.homes().live(1) == 96);
  stage.check_books();
}

TEST_CASE("a peer without an address is placed and opens nothing") {
  Stage stage(pool_of(2, {Kind::ip}));
  CHECK(stage.send({.client = ""}).reason() == Reason::placed);
  CHECK(stage.count(Event::opened) == 0);
  stage.check_books();
}

TEST_CASE("an address whose home failed goes where every balancer sends it") {
  Stage one(pool_of(5, {Kind::ip})), other(pool_of(5, {Kind::ip}));
  for (int i = 1; i < 50; ++i) {
    const std::string client = "192.0.2." + std::to_string(i);
    const Result home = one.send({.client = client});
    CHECK(other.send({.client = client}).slot() == home.slot());
    for (Stage* stage : {&one, &other}) stage->set(home.slot(), BackendState::down);
    const Result moved = one.send({.client = client});
    CHECK(moved.reason() == Reason::failed_over);
    CHECK(other.send({.client = client}).slot() == moved.slot());
    for (Stage* stage : {&one, &other}) stage->set(home.slot(), BackendState::up);
  }
}

// --- The application's session id ---

TEST_CASE("the first answer that sets an id binds it to the backend that made it") {
  Stage stage(pool_of(5, {Kind::session_id}));
  for (int i = 0; i < 50; ++i) {
    const std::string id = "id" + std::to_string(i);
    const Result login = stage.send({.sets = "JSESSIONID=" + id});
    CHECK(login.reason() == Reason::placed);
    const Result next = stage.send({.cookie = "JSESSIONID=" + id});
    CHECK(next.reason() == Reason::bound);
    CHECK(next.slot() == login.slot());
  }
  CHECK(stage.count(Event::opened) == 50);
  stage.check_books();
}

TEST_CASE("a request without an id is placed and opens nothing") {
  Stage stage(pool_of(2, {Kind::session_id}));
  CHECK(stage.send({}).reason() == Reason::placed);
  CHECK(stage.count(Event::opened) == 0);
  stage.check_books();
}

TEST_CASE("an unknown id is a guess by hash that opens nothing, and every balancer guesses alike") {
  Stage one(pool_of(5, {Kind::session_id})), other(pool_of(5, {Kind::session_id}));
  for (int i = 0; i < 50; ++i) {
    const std::string cookie = "JSESSIONID=id" + std::to_string(i);
    const Result guess = one.send({.cookie = cookie});
    CHECK(guess.reason() == Reason::hash);
    CHECK(other.send({.cookie = cookie}).slot() == guess.slot());
  }
  CHECK(one.router.table().census().books.all.begun() == 0);
  CHECK(one.memory().guesses_missed == 0);
  one.check_books();
}

TEST_CASE("a guess is missed when the answer sets another id, and that one is bound") {
  Stage stage(pool_of(3, {Kind::session_id}));
  const Result guess = stage.send({.cookie = "JSESSIONID=stale", .sets = "JSESSIONID=new"});
  CHECK(stage.memory().guesses_missed == 1);
  CHECK(stage.count(Event::opened) == 1);
  CHECK(stage.count(Event::renewed) == 0);
  CHECK(stage.send({.cookie = "JSESSIONID=new"}).slot() == guess.slot());
}

TEST_CASE("an unknown id that the application adopts is bound, and no guess was missed") {
  Stage stage(pool_of(3, {Kind::session_id}));
  const Result guess = stage.send({.cookie = "JSESSIONID=mine", .sets = "JSESSIONID=mine"});
  const Result next = stage.send({.cookie = "JSESSIONID=mine"});
  CHECK(next.reason() == Reason::bound);
  CHECK(next.slot() == guess.slot());
  CHECK(stage.memory().guesses_missed == 0);
  CHECK(stage.count(Event::opened) == 1);
  stage.check_books();
}

TEST_CASE("an id that its home changes at login is the same session, and requests on their way find it") {
  Stage stage(pool_of(5, {Kind::session_id}));
  const Result first = stage.send({.sets = "JSESSIONID=anonymous"});
  const Result login = stage.send({.cookie = "JSESSIONID=anonymous", .sets = "JSESSIONID=user"});
  CHECK(login.slot() == first.slot());
  CHECK(stage.count(Event::opened) == 1);
  CHECK(stage.count(Event::renewed) == 1);
  for (const char* id : {"JSESSIONID=anonymous", "JSESSIONID=user"}) {
    const Result next = stage.send({.cookie = id, .at = 30});
    CHECK(next.reason() == Reason::bound);
    CHECK(next.slot() == first.slot());
  }
  CHECK(stage.send({.cookie = "JSESSIONID=anonymous", .at = 31}).reason() == Reason::hash);
  CHECK(stage.send({.cookie = "JSESSIONID=user", .at = 31}).reason() == Reason::bound);
  stage.check_books();
}

TEST_CASE("an answer that repeats the request's id opens and renews nothing") {
  Stage stage(pool_of(3, {Kind::session_id}));
  stage.send({.sets = "JSESSIONID=a"});
  for (int i = 0; i < 5; ++i) stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID=a"});
  CHECK(stage.count(Event::opened) == 1);
  CHECK(stage.count(Event::renewed) == 0);
  CHECK(stage.live() == 1);
}

TEST_CASE("an answer that repeats the request's id and sets a second one beside it keeps both") {
  conf::Pool pool = pool_of(3, {Kind::session_id});
  pool.session_id.sources.insert(pool.session_id.sources.begin(), {Place::header, "X-Session"});
  Stage stage(pool);
  stage.send({.sets = "JSESSIONID=a"});
  stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID=a", .header = "b"});
  CHECK(stage.count(Event::renewed) == 0);
  CHECK(stage.send({.cookie = "JSESSIONID=a", .at = 40}).reason() == Reason::bound);
  CHECK(stage.live() == 2);
}

TEST_CASE("an id that the application deletes is logged out") {
  Stage stage(pool_of(3, {Kind::session_id}));
  stage.send({.sets = "JSESSIONID=a"});
  stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID=; Max-Age=0"});
  CHECK(stage.count(Event::logged_out) == 1);
  CHECK(stage.live() == 0);
  CHECK(stage.send({.cookie = "JSESSIONID=a"}).reason() == Reason::hash);
  stage.check_books();
}

TEST_CASE("an id that the new home deletes, or disowns as MCP does, was lost: that is no logout") {
  conf::Pool pool = pool_of(3, {Kind::session_id});
  pool.session_id.sources = {{conf::SessionIdSource::Place::cookie, "JSESSIONID"},
                             {conf::SessionIdSource::Place::header, "Mcp-Session-Id"}};
  Stage stage(pool);
  Said login{.sets = "JSESSIONID=a"}, after{.cookie = "JSESSIONID=a", .sets = "JSESSIONID=; Max-Age=0"};
  stage.set(stage.send(login).slot(), BackendState::down);
  CHECK(stage.send(after).reason() == Reason::failed_over);
  CHECK(stage.count(Event::lost) == 1);
  CHECK(stage.count(Event::confirmed) == 1);
  CHECK(stage.count(Event::logged_out) == 0);
  CHECK(stage.count(Event::opened) == 1);
  CHECK(stage.live() == 0);
  stage.check_books();
}

TEST_CASE("what is disowned in answer to a POST was lost for certain where that was 404, and had no effect") {
  for (const char* method : {"GET", "POST", "DELETE"}) {
    for (const int status : {200, 404}) {
      Stage stage(pool_of(2, {Kind::session_id}));
      const Result login = stage.send({.sets = "JSESSIONID=a"});
      stage.set(login.slot(), BackendState::down);
      stage.set(login.slot(), BackendState::up);
      stage.send({.cookie = "JSESSIONID=a", .method = method, .sets = "JSESSIONID=", .status = status});
      const bool is_certain =
          method == std::string("GET") || (method == std::string("POST") && status == 404);
      CHECK(stage.count(Event::restarted) == is_certain);
      CHECK(stage.count(Event::lost) == is_certain);
      CHECK(stage.count(Event::uncertain) == !is_certain);
      CHECK(stage.count(Event::logged_out) == !is_certain);
      stage.check_books();
    }
  }
}

TEST_CASE("of two cookies of one name the one that is known leads home") {
  Stage stage(pool_of(5, {Kind::session_id}));
  const Result login = stage.send({.sets = "JSESSIONID=LIVE"});
  for (int i = 0; i < 20; ++i) {
    const std::string dead = "JSESSIONID=DEAD" + std::to_string(i);
    CHECK(stage.send({.cookie = dead + "; JSESSIONID=LIVE"}).slot() == login.slot());
    CHECK(stage.send({.cookie = dead + "; JSESSIONID=LIVE"}).reason() == Reason::bound);
  }
  CHECK(stage.send({.cookie = "JSESSIONID=DEAD1; JSESSIONID=DEAD2"}).slot() ==
        stage.send({.cookie = "JSESSIONID=DEAD1"}).slot());
}

TEST_CASE("a logout that is on its way under the old id ends the renewed session") {
  Stage stage(pool_of(3, {Kind::session_id}));
  stage.send({.sets = "JSESSIONID=a"});
  stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID=b"});
  stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID="});
  CHECK(stage.live() == 0);
  CHECK(stage.count(Event::logged_out) == 1);
}

TEST_CASE(
    "after a failover a new id from the new home confirms the loss, and leads to the session that began") {
  Stage stage(pool_of(3, {Kind::session_id}));
  const Result login = stage.send({.sets = "JSESSIONID=a"});
  stage.set(login.slot(), BackendState::down);
  const Result lost = stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID=b"});
  CHECK(lost.reason() == Reason::failed_over);
  CHECK(stage.count(Event::lost) == 1);
  CHECK(stage.count(Event::confirmed) == 1);
  CHECK(stage.count(Event::opened) == 2);
  CHECK(stage.live() == 1);
  CHECK(stage.send({.cookie = "JSESSIONID=b"}).slot() == lost.slot());
  stage.check_books();
}

TEST_CASE("a backend's max_sessions holds for ids, room is given back by answers that open nothing") {
  conf::Pool pool = pool_of(2, {Kind::session_id});
  for (conf::Backend& backend : pool.backends) backend.max_sessions = 5;
  Stage stage(pool);
  for (int i = 0; i < 100; ++i) CHECK(stage.send({}).reason() == Reason::placed);
  for (int i = 0; i < 10; ++i) stage.send({.sets = "JSESSIONID=" + std::to_string(i)});
  CHECK(stage.send({}).reason() == Reason::full);
  CHECK(stage.send({.cookie = "JSESSIONID=unknown"}).reason() == Reason::full);
  CHECK(stage.send({.cookie = "JSESSIONID=3"}).reason() == Reason::bound);
  stage.send({.cookie = "JSESSIONID=3", .sets = "JSESSIONID=; Max-Age=0"});
  CHECK(stage.send({}).reason() == Reason::placed);
  stage.check_books();
}

// --- Kinds in order ---

TEST_CASE("where the tracked kind has no key the next one routes, and opens nothing") {
  Stage stage(pool_of(5, {Kind::session_id, Kind::ip}));
  const Result first = stage.send({.client = "192.0.2.1"});
  CHECK(first.reason() == Reason::hash);
  for (int i = 0; i < 5; ++i) CHECK(stage.send({.client = "192.0.2.1"}).slot() == first.slot());
  CHECK(stage.router.table().census().books.all.begun() == 0);
  const Result login = stage.send({.client = "192.0.2.1", .sets = "JSESSIONID=a"});
  CHECK(login.slot() == first.slot());
  CHECK(stage.send({.cookie = "JSESSIONID=a", .client = "198.51.100.1"}).slot() == first.slot());
  stage.check_books();
}

TEST_CASE(
    "with cookies behind ids, a client that has neither gets a token, and one that has an id does not") {
  Stage stage(pool_of(3, {Kind::session_id, Kind::cookie}));
  const Result first = stage.send({});
  REQUIRE(first.token);
  const Result next = stage.send({.cookie = stage.cookie(first)});
  CHECK(next.reason() == Reason::token);
  CHECK(next.slot() == first.slot());
  CHECK_FALSE(next.token);
  CHECK_FALSE(stage.send({.cookie = "JSESSIONID=x"}).token);
  CHECK(stage.router.table().census().books.all.begun() == 0);
  stage.check_books();
}

TEST_CASE("with cookies behind ids, a token finds the home of an id that a restarted process does not know") {
  Stage stage(pool_of(5, {Kind::session_id, Kind::cookie}));
  for (int i = 0; i < 20; ++i) {
    const std::string id = "JSESSIONID=" + std::to_string(i);
    const Result login = stage.send({.sets = id});
    Stage restarted(pool_of(5, {Kind::session_id, Kind::cookie}));
    const Result next = restarted.send({.cookie = id + "; " + stage.cookie(login)});
    CHECK(next.slot() == login.slot());
    CHECK(next.reason() == Reason::token);
    CHECK_FALSE(next.token);  // it has it
    CHECK(restarted.count(Event::restored) == 1);
    CHECK(restarted.router.table().census().live_returned == 0);
    CHECK(restarted.send({.cookie = id}).reason() == Reason::bound);
    CHECK(restarted.router.table().census().live_returned == 1);
    restarted.check_books();
  }
}

TEST_CASE("with cookies behind ids, a token tells nothing about an id that it was not given along with") {
  Stage stage(pool_of(5, {Kind::session_id, Kind::cookie}));
  const Result login = stage.send({.sets = "JSESSIONID=a"});
  const Result visitor = stage.send({});
  Stage restarted(pool_of(5, {Kind::session_id, Kind::cookie}));
  for (const Result& with : {login, visitor}) {
    for (int i = 0; i < 100; ++i) {
      const Result next =
          restarted.send({.cookie = "JSESSIONID=guess" + std::to_string(i) + "; " + stage.cookie(with)});
      CHECK(next.slot() == with.slot());
      CHECK(next.reason() == Reason::token);
    }
  }
  CHECK(restarted.router.table().census().entries == 0);
  const Result bound = restarted.send({.cookie = "JSESSIONID=a; " + stage.cookie(visitor)});
  CHECK(bound.slot() == visitor.slot());
  CHECK(restarted.router.table().census().entries == 0);
}

// Two processes that share tokens and nothing else, and see the same backends unless the test says otherwise.
struct Pair {
  explicit Pair(std::vector<Kind> affinity) : one(pool_of(5, affinity)), other(pool_of(5, affinity)) {}
  void set(Slot slot, BackendState state) {
    one.set(slot, state);
    other.set(slot, state);
  }
  uint64_t lost() { return one.count(Event::lost) + other.count(Event::lost); }
  Stage one, other;
};

TEST_CASE("with cookies behind ids, of several ids that nobody knows the one counts that has the token") {
  Stage stage(pool_of(5, {Kind::session_id, Kind::cookie}));
  const Result login = stage.send({.cookie = "JSESSIONID=stale", .sets = "JSESSIONID=a"});
  Stage restarted(pool_of(5, {Kind::session_id, Kind::cookie}));
  const std::string both = "JSESSIONID=stale; JSESSIONID=a; " + stage.cookie(login);
  restarted.set(login.slot(), BackendState::down);
  CHECK(restarted.send({.cookie = both, .sets = "JSESSIONID=b"}).slot() != login.slot());
  CHECK(restarted.count(Event::restored) == 1);
  CHECK(restarted.count(Event::lost) == 1);
  restarted.check_books();
}

TEST_CASE("a session is at risk whose token is of a time before its home was out of service") {
  for (const bool by_id : {false, true}) {
    for (const bool forgets : {false, true}) {
      const auto affinity = by_id ? std::vector{Kind::session_id, Kind::cookie} : std::vector{Kind::cookie};
      conf::Pool pool = pool_of(5, affinity);
      if (!by_id) pool.evidence = pool.session_id.sources;
      Stage before(pool), after(pool);
      const Result login = before.send({.sets = "JSESSIONID=a"});
      const std::string cookies = "JSESSIONID=a; " + before.cookie(login);
      after.set(login.slot(), BackendState::down);
      after.set(login.slot(), BackendState::up);
      after.homes().set_shaken(login.slot(), kNow + 5);
      const Result next = after.send({.cookie = cookies, .sets = forgets ? "JSESSIONID=b" : "", .at = 10});
      CHECK(next.slot() == login.slot());
      CHECK(after.count(Event::restarted) == (forgets ? 1 : 0));
      CHECK(after.count(Event::lost) == (forgets ? 1 : 0));
      CHECK(after.count(Event::recovered) == (forgets ? 0 : 1));
      after.check_books();
    }
  }
}

TEST_CASE("whom its home refuses after an outage, without a word of the id, may have been lost") {
  for (const bool by_id : {false, true}) {
    conf::Pool pool = pool_of(2, by_id ? std::vector{Kind::session_id} : std::vector{Kind::ip});
    if (!by_id) pool.evidence = pool.session_id.sources;
    Stage stage(pool);
    const Slot home = stage.send({.sets = "JSESSIONID=a"}).slot();
    stage.set(home, BackendState::down);
    stage.set(home, BackendState::up);
    stage.send({.cookie = "JSESSIONID=a", .status = 401});
    CHECK(stage.count(Event::lost) == 0);
    CHECK(stage.count(Event::uncertain) == 1);
    stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID=b"});
    stage.set(home, BackendState::down);
    stage.send({.cookie = "JSESSIONID=b", .sets = "JSESSIONID=c"});
    CHECK(stage.count(Event::lost) == 1);
    CHECK(stage.count(Event::uncertain) == 1);
    stage.check_books();
  }
}

TEST_CASE("a session is not at risk whose token is of a time after its home was back") {
  Stage before(pool_of(5, {Kind::session_id, Kind::cookie}));
  const Result login = before.send({.sets = "JSESSIONID=a", .at = 6});
  Stage after(pool_of(5, {Kind::session_id, Kind::cookie}));
  after.homes().set_shaken(login.slot(), kNow + 5);
  after.send({.cookie = "JSESSIONID=a; " + before.cookie(login), .sets = "JSESSIONID=b", .at = 10});
  CHECK(after.count(Event::renewed) == 1);
  CHECK(after.count(Event::lost) == 0);
}

TEST_CASE("a session is at risk that another balancer moved to a home which was out of service since") {
  Pair pair({Kind::session_id, Kind::cookie});
  const Result first = pair.one.send({.sets = "JSESSIONID=a"});
  const std::string cookies = "JSESSIONID=a; " + pair.one.cookie(first);
  pair.other.send({.cookie = cookies});
  pair.one.set(first.slot(), BackendState::down);
  const Result moved = pair.one.send({.cookie = cookies, .sets = "JSESSIONID=a"});
  REQUIRE(moved.token);
  pair.other.set(moved.slot(), BackendState::down);
  pair.other.set(moved.slot(), BackendState::up);
  pair.other.homes().set_shaken(moved.slot(), kNow + 5);
  pair.other.send({.cookie = "JSESSIONID=a; " + pair.one.cookie(moved), .sets = "JSESSIONID=b", .at = 10});
  CHECK(pair.other.count(Event::restarted) == 1);
  pair.other.check_books();
}

TEST_CASE(
    "a move that another balancer has seen answered goes before one of the same number that nobody "
    "answered") {
  Pair pair({Kind::cookie});
  const Result first = pair.one.send({});
  const std::string cookies = pair.one.cookie(first);
  pair.other.send({.cookie = cookies});
  pair.set(first.slot(), BackendState::down);
  const Choice unanswered = pair.other.choose({.cookie = cookies}, {});
  pair.one.set(unanswered.slot, BackendState::down);
  const Result moved = pair.one.send({.cookie = cookies});
  REQUIRE(moved.token);
  pair.other.set(unanswered.slot, BackendState::down);
  CHECK(pair.other.send({.cookie = pair.one.cookie(moved)}).slot() == moved.slot());
  CHECK(pair.one.count(Event::lost) == 1);
  CHECK(pair.other.count(Event::lost) == 0);
  CHECK(pair.other.count(Event::reassigned) == 1);
  pair.other.check_books();
}

TEST_CASE(
    "with evidence, a token says whether anything shows that its home has a session of the application's") {
  for (const bool logs_in : {false, true}) {
    conf::Pool pool = pool_of(5, {Kind::cookie});
    pool.evidence = pool.session_id.sources;
    Stage before(pool), after(pool);
    const Result first = before.send({.sets = "JSESSIONID=a"});
    before.set(first.slot(), BackendState::down);
    Result next = before.send({.cookie = "JSESSIONID=a; " + before.cookie(first), .status = 401});
    REQUIRE(next.token);
    CHECK(before.count(Event::lost) == 1);
    std::string id = "JSESSIONID=a; ";
    CHECK_FALSE(before.send({.cookie = id + before.cookie(next), .status = 401}).token);
    if (logs_in) {
      next = before.send({.cookie = id + before.cookie(next), .method = "POST", .sets = "JSESSIONID=b"});
      REQUIRE(next.token);
      id = "JSESSIONID=b; ";
    }
    after.set(next.slot(), BackendState::down);
    after.send({.cookie = id + before.cookie(next), .status = 401});
    CHECK(after.count(Event::lost) == (logs_in ? 1 : 0));
    CHECK(after.count(Event::uncertain) == (logs_in ? 0 : 1));
    after.check_books();
  }
}

TEST_CASE("with cookies behind ids, each id that an answer sets comes with a token of its own") {
  Stage stage(pool_of(5, {Kind::session_id, Kind::cookie}));
  const Result login = stage.send({.sets = "JSESSIONID=a"});
  const Result renewed =
      stage.send({.cookie = "JSESSIONID=a; " + stage.cookie(login), .sets = "JSESSIONID=b"});
  REQUIRE(renewed.token);
  CHECK(stage.send({.cookie = "JSESSIONID=c", .sets = "JSESSIONID=d"}).token);
  Stage restarted(pool_of(5, {Kind::session_id, Kind::cookie}));
  CHECK(restarted.send({.cookie = "JSESSIONID=b; " + stage.cookie(renewed)}).slot() == login.slot());
  CHECK(restarted.count(Event::restored) == 1);
}

TEST_CASE("with cookies behind ids, who has logged out begins no session at a backend that drains") {
  Stage stage(pool_of(2, {Kind::session_id, Kind::cookie}));
  const Result login = stage.send({.sets = "JSESSIONID=a"});
  const std::string token = stage.cookie(login);
  CHECK(stage.send({.cookie = token}).reason() == Reason::token);
  stage.set(login.slot(), BackendState::draining);
  CHECK(stage.send({.cookie = "JSESSIONID=a; " + token}).slot() == login.slot());
  const Result again = stage.send({.cookie = token, .sets = "JSESSIONID=b"});
  CHECK(again.slot() != login.slot());
  REQUIRE(again.token);
  CHECK(stage.send({.cookie = "JSESSIONID=b; " + stage.cookie(again)}).slot() == again.slot());
  stage.set(again.slot(), BackendState::draining);
  CHECK(stage.send({.cookie = token}).slot() == login.slot());  // there is no other
  CHECK(stage.count(Event::lost) == 0);
  stage.check_books();
}

TEST_CASE("of two balancers that share tokens the one that knows the later choice is right") {
  for (const bool by_id : {false, true}) {
    Pair pair(by_id ? std::vector{Kind::session_id, Kind::cookie} : std::vector{Kind::cookie});
    const std::string id = by_id ? "JSESSIONID=a; " : "";
    const Result first = by_id ? pair.one.send({.sets = "JSESSIONID=a"}) : pair.one.send({});
    std::string cookies = id + pair.one.cookie(first);
    CHECK(pair.other.send({.cookie = cookies}).slot() == first.slot());
    pair.set(first.slot(), BackendState::down);
    const Result moved = pair.one.send({.cookie = cookies});
    REQUIRE(moved.token);
    CHECK(moved.slot() != first.slot());
    pair.set(first.slot(), BackendState::up);
    cookies = id + pair.one.cookie(moved);
    for (int round = 0; round < 3; ++round) {
      CHECK(pair.other.send({.cookie = cookies}).slot() == moved.slot());
      CHECK(pair.one.send({.cookie = cookies}).slot() == moved.slot());
    }
    CHECK(pair.lost() == 1);
    CHECK(pair.other.count(Event::reassigned) == 1);
    pair.one.check_books();
    pair.other.check_books();
  }
}

TEST_CASE("an application that does not know an id any more loses its session once, however often it moves") {
  for (const bool adopts : {false, true}) {
    conf::Pool pool = pool_of(4, {Kind::session_id});
    pool.session_id.adopts_ids = adopts;
    Stage stage(pool);
    const Result login = stage.send({.sets = "JSESSIONID=a"});
    Slot home = login.slot();
    for (int failover = 0; failover < 2; ++failover) {
      stage.set(home, BackendState::down);
      const Slot next = stage.send({.cookie = "JSESSIONID=a"}).slot();
      CHECK(next != home);
      CHECK(stage.send({.cookie = "JSESSIONID=a"}).slot() == next);
      home = next;
    }
    CHECK(stage.count(Event::lost) == (adopts ? 2 : 1));
    CHECK(stage.count(Event::uncertain) == (adopts ? 0 : 1));
    stage.check_books();
  }
}

TEST_CASE("a token says that its session is unproven, and says so no more once an answer sets the id") {
  Pair pair({Kind::session_id, Kind::cookie});
  const Result login = pair.one.send({.sets = "JSESSIONID=a"});
  pair.set(login.slot(), BackendState::down);
  const std::string id = "JSESSIONID=a; ";
  const Result moved = pair.one.send({.cookie = id + pair.one.cookie(login)});
  REQUIRE(moved.token);
  CHECK_FALSE(pair.one.send({.cookie = id + pair.one.cookie(moved)}).token);  // it has it
  CHECK(pair.other.send({.cookie = id + pair.one.cookie(moved)}).slot() == moved.slot());
  pair.set(moved.slot(), BackendState::down);
  CHECK(pair.other.send({.cookie = id + pair.one.cookie(moved)}).slot() != moved.slot());
  CHECK(pair.other.count(Event::lost) == 0);
  CHECK(pair.other.count(Event::uncertain) == 1);
  pair.set(moved.slot(), BackendState::up);
  const Result proven = pair.one.send({.cookie = id + pair.one.cookie(moved), .sets = "JSESSIONID=a"});
  REQUIRE(proven.token);
  Stage third(pool_of(5, {Kind::session_id, Kind::cookie}));
  third.set(proven.slot(), BackendState::down);
  third.send({.cookie = id + pair.one.cookie(proven)});
  CHECK(third.count(Event::lost) == 1);
}

// An application that keeps its id in JSESSIONID behind an affinity of Limpet's own.
struct Evident {
  explicit Evident(Kind kind) : stage(pool(kind)), by_cookie(kind == Kind::cookie) {}
  static conf::Pool pool(Kind kind) {
    conf::Pool made = pool_of(3, {kind});
    made.evidence = {{conf::SessionIdSource::Place::cookie, "JSESSIONID"}};
    return made;
  }
  Result send(const std::string& id, const std::string& sets = "") {
    const Result result =
        stage.send({.cookie = token + (id.empty() ? "" : "; JSESSIONID=" + id), .sets = sets});
    if (result.token) token = Stage::cookie(result);
    return result;
  }
  void set(BackendState state, Slot slot) { stage.set(slot, state); }
  void restart(Slot slot) {
    set(BackendState::down, slot);
    set(BackendState::up, slot);
  }
  Stage stage;
  bool by_cookie;
  std::string token;
};

TEST_CASE("with evidence, a failover costs those alone that hold an id of the application's") {
  for (const Kind kind : {Kind::cookie, Kind::ip}) {
    for (const bool holds : {false, true}) {
      Evident it(kind);
      const Slot home = it.send("", holds ? "JSESSIONID=a" : "").slot();
      CHECK(it.send(holds ? "a" : "").slot() == home);
      it.set(BackendState::down, home);
      CHECK(it.send(holds ? "a" : "", holds ? "JSESSIONID=b" : "").slot() != home);
      CHECK(it.stage.count(Event::lost) == holds);
      CHECK(it.stage.count(Event::confirmed) == holds);
      CHECK(it.stage.count(Event::reassigned) == !holds);
      CHECK(it.stage.count(Event::uncertain) == 0);
      it.stage.check_books();
    }
  }
}

TEST_CASE("with evidence, an id that no answer spoke of since it was lost is uncertain") {
  Evident it(Kind::cookie);
  const Slot home = it.send("", "JSESSIONID=a").slot();
  it.set(BackendState::down, home);
  const Slot next = it.send("a").slot();
  CHECK(it.stage.count(Event::lost) == 1);
  it.send("a");
  const std::string last = it.token;
  SUBCASE("it moves again") {
    it.set(BackendState::down, next);
    it.send("a");
    CHECK(it.stage.count(Event::lost) == 1);
    CHECK(it.stage.count(Event::uncertain) == 1);
  }
  SUBCASE("an answer sets an id, and then it moves again") {
    it.send("a", "JSESSIONID=b");
    it.set(BackendState::down, next);
    it.send("b");
    CHECK(it.stage.count(Event::lost) == 2);
    CHECK(it.stage.count(Event::uncertain) == 0);
  }
  it.stage.check_books();
}

TEST_CASE("with evidence, a home that came back without a session is noticed") {
  for (const Kind kind : {Kind::cookie, Kind::ip}) {
    Evident it(kind);
    const Slot home = it.send("", "JSESSIONID=a").slot();
    it.restart(home);
    CHECK(it.send("a", "JSESSIONID=b").slot() == home);
    CHECK(it.stage.count(Event::restarted) == 1);
    CHECK(it.stage.count(Event::lost) == 1);
    it.restart(home);
    it.send("b", "JSESSIONID=b");
    CHECK(it.stage.count(Event::recovered) == 1);
    it.restart(home);
    it.send("b", "JSESSIONID=; Max-Age=0");
    CHECK(it.stage.count(Event::lost) == 2);
    CHECK(it.stage.live() == 1);  // Limpet's own goes on
    it.restart(home);
    it.send("", "JSESSIONID=c");  // a visitor logs in
    CHECK(it.stage.count(Event::lost) == 2);
    CHECK(it.stage.count(Event::recovered) == 2);
    it.stage.check_books();
  }
}

TEST_CASE("a token that is older than what the table knows changes nothing") {
  Stage stage(pool_of(5, {Kind::cookie}));
  const std::string old = stage.cookie(stage.send({}));
  const Slot first = stage.send({.cookie = old}).slot();
  stage.set(first, BackendState::down);
  const Slot moved = stage.send({.cookie = old}).slot();
  stage.set(first, BackendState::up);
  for (int round = 0; round < 3; ++round) CHECK(stage.send({.cookie = old}).slot() == moved);
}

TEST_CASE("two balancers that saw different backends fail agree from the next request on") {
  Pair pair({Kind::cookie});
  int differed = 0;
  for (int i = 0; i < 200; ++i) {
    const Result first = pair.one.send({});
    const std::string cookies = pair.one.cookie(first);
    pair.other.send({.cookie = cookies});
    pair.set(first.slot(), BackendState::down);
    const Slot next = static_cast<Slot>((first.slot() + 1) % 5);
    pair.other.set(next, BackendState::down);  // it alone sees that
    const Result by_one = pair.one.send({.cookie = cookies}), by_other = pair.other.send({.cookie = cookies});
    differed += by_one.slot() != by_other.slot();
    pair.set(first.slot(), BackendState::up);
    pair.set(next, BackendState::up);
    for (const Result& with : {by_one, by_other}) {
      const std::string token = pair.one.cookie(with);
      const Slot home = pair.one.send({.cookie = token}).slot();
      CHECK(pair.other.send({.cookie = token}).slot() == home);
      CHECK(pair.one.send({.cookie = token}).slot() == home);
    }
  }
  CHECK(differed > 20);
}

TEST_CASE("a move that nobody answered gives way to the token of the balancer at which it was answered") {
  Pair pair({Kind::cookie});
  const Result first = pair.one.send({});
  const std::string cookies = pair.one.cookie(first);
  pair.one.send({.cookie = cookies});
  pair.other.send({.cookie = cookies});
  pair.set(first.slot(), BackendState::down);
  pair.other.router.release(pair.other.choose({.cookie = cookies}, {}));  // its client gave up
  const Result moved = pair.one.send({.cookie = cookies});
  CHECK(pair.other.send({.cookie = pair.one.cookie(moved)}).slot() == moved.slot());
  CHECK(pair.lost() == 1);
  pair.one.check_books();
  pair.other.check_books();
}

// An id that its application takes up anywhere, so that it goes on by that name at two homes.
struct Split {
  explicit Split(std::vector<Kind> affinity) : pair(affinity) {
    const Result first = pair.one.send({.sets = "JSESSIONID=a"});
    const std::string cookies = id + pair.one.cookie(first);
    pair.other.send({.cookie = cookies});
    pair.set(first.slot(), BackendState::down);
    pair.other.set(pair.one.choose({.cookie = cookies}, {}).slot, BackendState::down);
    by_one = pair.one.send({.cookie = cookies, .sets = "JSESSIONID=a"});
    by_other = pair.other.send({.cookie = cookies, .sets = "JSESSIONID=a"});
    REQUIRE(by_one.slot() != by_other.slot());
  }
  std::string cookies(const Result& result) { return id + pair.one.cookie(result); }

  Pair pair;
  const std::string id = "JSESSIONID=a; ";
  Result by_one, by_other;  // the first has the home that comes first
};

TEST_CASE("two balancers that chose at once agree on the first in the key's order, of an id too") {
  for (const bool by_id : {false, true}) {
    Split split(by_id ? std::vector{Kind::session_id, Kind::cookie} : std::vector{Kind::cookie});
    split.pair.other.set(split.by_one.slot(), BackendState::up);
    std::string cookies = split.cookies(split.by_other);
    for (int round = 0; round < 3; ++round) {
      for (Stage* const stage : {&split.pair.one, &split.pair.other}) {
        const Result next = stage->send({.cookie = cookies});
        CHECK(next.slot() == split.by_one.slot());
        if (next.token) cookies = split.cookies(next);
      }
    }
  }
}

TEST_CASE("of two homes chosen at once, one that serves goes before one that does not, and stays") {
  for (const bool by_id : {false, true}) {
    Split split(by_id ? std::vector{Kind::session_id, Kind::cookie} : std::vector{Kind::cookie});
    // The other one does not see the first in the order serve: it keeps its own, and the first follows.
    std::string cookies = split.cookies(split.by_one);
    for (int round = 0; round < 3; ++round) {
      for (Stage* const stage : {&split.pair.other, &split.pair.one}) {
        const Result next = stage->send({.cookie = cookies});
        CHECK(next.slot() == split.by_other.slot());
        if (next.token) cookies = split.cookies(next);
      }
    }
  }
}

TEST_CASE("an id's first home is not given up for another that a token of the same number names") {
  const std::vector<Kind> affinity{Kind::session_id, Kind::cookie};
  for (int i = 0; i < 20; ++i) {
    const std::string id = "JSESSIONID=a" + std::to_string(i);
    Stage stage(pool_of(5, affinity));
    const Result first = stage.send({.sets = id});
    // Elsewhere the application takes up the id from somebody who has a token of another one.
    Stage other(pool_of(5, affinity));
    other.send({.client = "192.0.2.1", .sets = "JSESSIONID=any"});
    const std::string own = other.cookie(other.send({.sets = "JSESSIONID=own"}));
    const Result forged = other.send({.cookie = id + "; " + own, .sets = id});
    REQUIRE(forged.slot() != first.slot());
    CHECK(stage.send({.cookie = id + "; " + other.cookie(forged)}).slot() == first.slot());
  }
}

TEST_CASE("with cookies behind ids, the token follows the id's session to a new home") {
  Stage stage(pool_of(3, {Kind::session_id, Kind::cookie}));
  const Result login = stage.send({.sets = "JSESSIONID=a"});
  const std::string cookies = "JSESSIONID=a; " + stage.cookie(login);
  CHECK_FALSE(stage.send({.cookie = cookies}).token);
  stage.set(login.slot(), BackendState::down);
  const Result moved = stage.send({.cookie = cookies});
  REQUIRE(moved.token);
  CHECK(stage.send({.cookie = stage.cookie(moved)}).slot() == moved.slot());
  CHECK(stage.send({.cookie = "JSESSIONID=a; " + stage.cookie(moved), .at = 500}).token);  // due
}

TEST_CASE(
    "with addresses behind cookies, a client's first request goes by its address and opens its cookie's "
    "session") {
  Stage stage(pool_of(5, {Kind::cookie, Kind::ip}));
  const Result first = stage.send({.client = "192.0.2.1"});
  CHECK(first.reason() == Reason::hash);
  REQUIRE(first.token);
  const Result next = stage.send({.cookie = stage.cookie(first), .client = "198.51.100.7"});
  CHECK(next.reason() == Reason::bound);
  CHECK(next.slot() == first.slot());
  CHECK(stage.count(Event::opened) == 1);
  stage.check_books();
}

TEST_CASE("sweeping expires what nobody came back to") {
  Stage stage(pool_of(2, {Kind::cookie}));
  for (int i = 0; i < 100; ++i) stage.send({});
  for (int i = 0; i < 20; ++i) stage.router.sweep(kNow + 61);
  CHECK(stage.live() == 0);
  CHECK(stage.count(Event::expired) == 100);
  stage.check_books();
}

}  // namespace limpet::routing::router_test
