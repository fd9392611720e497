// What operators ask about sessions and order of them, and what a reload leaves as it was.
#include <doctest/doctest.h>

#include <chrono>

#include "routing/session_table.h"
#include "tests/routing/clients.h"

namespace limpet::routing::operators_test {

using namespace limpet::routing::test;
using Kind = conf::AffinityKind;

TEST_CASE("an operator finds a session by its address, its id or its token") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    Known known(pool_of(3, {kind}));
    const auto found = known.stage.router.find(known.name, kNow);
    REQUIRE(found);
    CHECK(found->home == known.home);
    CHECK(found->first_seen == kNow);
    CHECK_FALSE(found->returned);
    CHECK(known.stage.router.find(known.name, kNow + 61)->home == kNoSlot);
  }
}

TEST_CASE("what can be no session is told from one that is not there") {
  Stage by_address(pool_of(2, {Kind::ip})), by_cookie(pool_of(2, {Kind::cookie})),
      by_id(pool_of(2, {Kind::session_id}));
  CHECK_FALSE(by_address.router.find("app-0", kNow));
  CHECK(by_address.router.find("192.0.2.77", kNow)->home == kNoSlot);
  CHECK_FALSE(by_cookie.router.find("no token", kNow));
  CHECK_FALSE(by_id.router.find("", kNow));
  CHECK(by_id.router.find("unknown", kNow)->home == kNoSlot);
  CHECK_FALSE(by_cookie.router.unbind("no token", kNow));
  CHECK_FALSE(by_cookie.router.pin("no token", 0, kNow));
  CHECK_FALSE(by_id.router.unbind("unknown", kNow));
}

TEST_CASE("a session that an operator unbinds is over, and its client is placed anew, whatever it brings") {
  for (const Kind kind : {Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    Known known(pool_of(3, {kind}));
    CHECK(known.stage.router.unbind(known.name, kNow));
    CHECK_FALSE(known.stage.router.unbind(known.name, kNow));
    CHECK(known.stage.count(Event::unbound) == 1);
    for (int i = 0; i < 3; ++i) CHECK(known.send().reason() == Reason::placed);
    CHECK(known.stage.count(Event::restored) == 0);
    const uint64_t idle = 1800, last_token = idle + idle / 4 + 1;
    CHECK(known.stage.router.table().is_unbound(known.key(), kNow + last_token));
    CHECK_FALSE(known.stage.router.table().is_unbound(known.key(), kNow + last_token + 1));
    known.stage.check_books();
  }
}

TEST_CASE(
    "an id that was unbound is a session again once the application sets it, and so is what is pinned") {
  Known known(pool_of(3, {Kind::session_id}));
  CHECK(known.stage.router.unbind("a", kNow));
  const Result anew = known.stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID=a"});
  CHECK(anew.reason() == Reason::placed);
  CHECK(known.send().slot() == anew.slot());
  CHECK(known.send().reason() == Reason::bound);
  CHECK(known.stage.router.unbind("a", kNow));
  CHECK(known.stage.router.pin("a", 2, kNow));
  CHECK(known.send().slot() == 2);
  known.stage.check_books();
}

TEST_CASE("a session that an operator pins goes there, is moved and not lost, even if that backend drains") {
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id}) {
    CAPTURE(static_cast<int>(kind));
    conf::Pool pool = pool_of(3, {kind});
    pool.failback = conf::Failback::go_home;
    Known known(pool);
    const Slot to = known.other();
    known.stage.set(to, BackendState::draining);
    CHECK(known.stage.router.pin(known.name, to, kNow));
    CHECK(known.send().slot() == to);
    CHECK(known.send().slot() == to);  // it is its first home now
    CHECK(known.stage.count(Event::moved) == 1);
    CHECK(known.stage.count(Event::lost) == 0);
    CHECK(known.stage.router.pin(known.name, to, kNow));
    CHECK(known.stage.count(Event::moved) == 1);
    known.stage.check_books();
  }
}

TEST_CASE("a session that an operator pins by its former id is moved under its new one") {
  Known known(pool_of(3, {Kind::session_id}));
  known.stage.send({.cookie = "JSESSIONID=a", .sets = "JSESSIONID=b"});
  CHECK(known.stage.router.pin("a", known.other(), kNow));
  CHECK(known.stage.router.find("b", kNow)->home == known.other());
  CHECK(known.stage.count(Event::moved) == 1);
  CHECK(known.stage.live() == 1);
  known.stage.check_books();
}

TEST_CASE("an address or id that is not known can be pinned before its first request") {
  Stage by_address(pool_of(8, {Kind::ip})), by_id(pool_of(8, {Kind::session_id}));
  for (Slot home = 0; home < 8; ++home) {
    const std::string number = std::to_string(home);
    CHECK(by_address.router.pin("192.0.2." + number, home, kNow));
    CHECK(by_address.send({.client = "192.0.2." + number}).slot() == home);
    CHECK(by_id.router.pin("id" + number, home, kNow));
    CHECK(by_id.send({.cookie = "JSESSIONID=id" + number}).slot() == home);
  }
  by_address.check_books();
  by_id.check_books();
}

TEST_CASE("a router that follows another knows what it knew, under its own settings") {
  const conf::Pool pool = pool_of(3, {Kind::session_id});
  Stage stage(pool);
  const Result login = stage.send({.sets = "JSESSIONID=a"});
  conf::Pool changed = pool;
  changed.idle_timeout = std::chrono::seconds(10);
  changed.unreturned_timeout = std::chrono::seconds(10);
  Router next(changed, {std::string(32, 'k')}, std::string(32, 's'), stage.router.memory());
  CHECK(next.find("a", kNow + 10)->home == login.slot());
  CHECK(next.find("a", kNow + 11)->home == kNoSlot);
}

}  // namespace limpet::routing::operators_test
