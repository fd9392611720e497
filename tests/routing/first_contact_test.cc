#include "routing/first_contact.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "routing/hash.h"
#include "tests/routing/clients.h"

namespace limpet::routing::first_contact_test {

using Kind = conf::AffinityKind;
using test::pool_of;
using test::Result;
using test::Said;
using test::Stage;

constexpr uint32_t kNow = 1'000'000;
constexpr uint32_t kFollowers = FirstContacts::kFollowers;
constexpr uint64_t kAnn = mixed(1), kBob = mixed(2);

// --- The contacts by themselves ---

TEST_CASE("requests follow their client's first, and nobody else's") {
  FirstContacts contacts;
  CHECK(contacts.follow(kAnn, kNow) == kNoSlot);
  CHECK(contacts.begin(kAnn, 3, kNoSlot, kNow) == 3);
  CHECK(contacts.follow(kAnn, kNow) == 3);
  CHECK(contacts.follow(kBob, kNow) == kNoSlot);
  CHECK(contacts.begin(kBob, 5, kNoSlot, kNow) == 5);
  CHECK(contacts.follow(kBob, kNow) == 5);
  CHECK(contacts.follow(kAnn, kNow) == 3);
}

TEST_CASE("so many follow, and the next is placed anew and is followed itself") {
  FirstContacts contacts;
  contacts.begin(kAnn, 0, kNoSlot, kNow);
  for (uint32_t i = 0; i < kFollowers; ++i) CHECK(contacts.follow(kAnn, kNow) == 0);
  CHECK(contacts.follow(kAnn, kNow) == kNoSlot);
  CHECK(contacts.begin(kAnn, 1, kNoSlot, kNow) == 1);
  for (uint32_t i = 0; i < kFollowers; ++i) CHECK(contacts.follow(kAnn, kNow) == 1);
  CHECK(contacts.follow(kAnn, kNow) == kNoSlot);
}

TEST_CASE("they follow for two seconds from the first, however many have, and whatever the time of day") {
  for (const uint32_t now : {1u, 2u, kNow, (1u << 19) - 1, 1u << 19, UINT32_MAX - 1, UINT32_MAX}) {
    FirstContacts contacts;
    contacts.begin(kAnn, 7, kNoSlot, now);
    CHECK(contacts.follow(kAnn, now) == 7);
    CHECK(contacts.follow(kAnn, now + 1) == 7);
    CHECK(contacts.follow(kAnn, now + 2) == 7);
    CHECK(contacts.follow(kAnn, now + 3) == kNoSlot);
    CHECK(contacts.follow(kAnn, now + 1000) == kNoSlot);
  }
}

TEST_CASE("a thread whose clock is a second behind sees what another began") {
  FirstContacts contacts;
  contacts.begin(kAnn, 7, kNoSlot, kNow);
  CHECK(contacts.follow(kAnn, kNow - 1) == 7);
}

TEST_CASE("a request that was placed while another of its client was follows that") {
  FirstContacts contacts;
  CHECK(contacts.begin(kAnn, 3, kNoSlot, kNow) == 3);
  CHECK(contacts.begin(kAnn, 4, kNoSlot, kNow) == 3);
  CHECK(contacts.follow(kAnn, kNow) == 3);
}

TEST_CASE("where a request cannot go it leads no other") {
  FirstContacts contacts;
  contacts.begin(kAnn, 3, kNoSlot, kNow);
  const Slot before = contacts.follow(kAnn, kNow);
  CHECK(contacts.begin(kAnn, 4, before, kNow) == 4);
  CHECK(contacts.follow(kAnn, kNow) == 4);
  CHECK(contacts.begin(kAnn, 5, 3, kNow) == 4);  // another that could not go there either
}

TEST_CASE("a thousand clients at once are all remembered, and of any number nobody is sent after another") {
  FirstContacts contacts;
  const auto client = [](uint64_t number) { return mixed(number + 100); };
  const auto slot = [](uint64_t number) { return static_cast<Slot>(number % 1000); };
  for (uint64_t number = 0; number < 1000; ++number)
    contacts.begin(client(number), slot(number), kNoSlot, kNow);
  for (uint64_t number = 0; number < 1000; ++number)
    CHECK(contacts.follow(client(number), kNow) == slot(number));
  for (uint64_t number = 1000; number < 50'000; ++number)
    contacts.begin(client(number), slot(number), kNoSlot, kNow + 1);
  size_t remembered = 0;
  for (uint64_t number = 0; number < 50'000; ++number) {
    const Slot found = contacts.follow(client(number), kNow + 1);
    if (found == kNoSlot) continue;
    CHECK(found == slot(number));
    ++remembered;
  }
  CHECK(remembered > 4000);
}

TEST_CASE("the newest stay where there is no room for all") {
  FirstContacts contacts;
  for (uint64_t number = 0; number < 50'000; ++number) contacts.begin(mixed(number), 1, kNoSlot, kNow);
  contacts.begin(kAnn, 2, kNoSlot, kNow + 1);
  for (uint64_t number = 0; number < 1000; ++number) contacts.begin(mixed(~number), 1, kNoSlot, kNow + 1);
  CHECK(contacts.follow(kAnn, kNow + 1) == 2);
}

TEST_CASE("threads that place the requests of one client at once agree where it is") {
  for (int round = 0; round < 200; ++round) {
    FirstContacts contacts;
    constexpr size_t kThreads = 4;
    std::vector<Slot> went(kThreads);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        const Slot before = contacts.follow(kAnn, kNow);
        went[i] = before != kNoSlot ? before : contacts.begin(kAnn, static_cast<Slot>(i), kNoSlot, kNow);
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(std::set<Slot>(went.begin(), went.end()).size() == 1);
  }
}

TEST_CASE("as many follow as may, however many threads ask") {
  FirstContacts contacts;
  contacts.begin(kAnn, 3, kNoSlot, kNow);
  std::atomic<uint32_t> followed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (uint32_t asked = 0; asked < kFollowers; ++asked) followed += contacts.follow(kAnn, kNow) == 3;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(followed == kFollowers);
}

// --- In a pool ---

std::vector<std::vector<Kind>> with_keys_from_answers() {
  return {{Kind::session_id}, {Kind::cookie}, {Kind::session_id, Kind::cookie}};
}

conf::Pool pool_with(std::vector<Kind> affinity, conf::Placement placement = conf::Placement::round_robin) {
  conf::Pool pool = pool_of(3, std::move(affinity));
  pool.placement = placement;
  return pool;
}

TEST_CASE("a page and an icon that a browser without cookies asks for at once lie on one backend") {
  for (const auto& affinity : with_keys_from_answers()) {
    for (const auto placement : {conf::Placement::least_sessions, conf::Placement::round_robin,
                                 conf::Placement::hash, conf::Placement::random_two}) {
      Stage stage(pool_with(affinity, placement));
      for (int i = 0; i < 30; ++i) {
        const std::string number = std::to_string(i);
        const Said page{.client = "192.0.2." + number, .sets = "JSESSIONID=page" + number};
        const Said icon{.client = "192.0.2." + number, .sets = "JSESSIONID=icon" + number};
        const Choice for_page = stage.choose(page, {});
        const Choice for_icon = stage.choose(icon, {});
        CHECK(for_page.slot == for_icon.slot);
        CHECK(for_icon.reason == Reason::placed);
        stage.answer(page, for_page);
        const Result last = stage.answer(icon, for_icon);
        Said later{.cookie = "JSESSIONID=icon" + number, .client = "192.0.2." + number, .at = 3};
        if (affinity.front() == Kind::cookie) later.cookie = Stage::cookie(last);
        const Result then = stage.send(later);
        CHECK(then.slot() == for_page.slot);
        CHECK(then.reason() == Reason::bound);
      }
      CHECK(stage.count(Event::opened) == 60);
      CHECK(stage.router.table().census().live_returned == 30);
      stage.check_books();
    }
  }
}

TEST_CASE("in a pool, so many follow for so long") {
  Stage stage(pool_with({Kind::cookie}));
  const Slot first = stage.send({}).slot();
  for (uint32_t i = 0; i < kFollowers; ++i) CHECK(stage.send({.at = i % 3}).slot() == first);
  const Slot second = stage.send({.at = 2}).slot();
  CHECK(second != first);
  CHECK(stage.send({.at = 4}).slot() == second);
  CHECK(stage.send({.at = 5}).slot() != second);
}

TEST_CASE("clients of different addresses do not follow each other, and those without an address nobody") {
  Stage stage(pool_with({Kind::cookie}));
  std::set<Slot> homes, nobodys;
  for (const char* client : {"192.0.2.1", "192.0.2.2", "2001:db8::1"})
    homes.insert(stage.send({.client = client}).slot());
  CHECK(homes.size() == 3);
  for (int i = 0; i < 3; ++i) nobodys.insert(stage.send({.client = ""}).slot());
  CHECK(nobodys.size() == 3);
}

TEST_CASE("nobody follows to a backend that takes no new sessions, or was tried") {
  for (const BackendState state : {BackendState::draining, BackendState::down, BackendState::maintenance}) {
    Stage stage(pool_with({Kind::cookie}));
    const Slot first = stage.send({}).slot();
    stage.set(first, state);
    const Slot second = stage.send({}).slot();
    CHECK(second != first);
    CHECK(stage.send({}).slot() == second);
  }
  Stage stage(pool_with({Kind::cookie}));
  const Slot first = stage.send({}).slot();
  Tried tried;
  tried.add(first);
  const Choice elsewhere = stage.choose({}, tried);
  CHECK(elsewhere.slot != first);
  stage.answer({}, elsewhere);
  CHECK(stage.send({}).slot() == elsewhere.slot);
  stage.check_books();
}

TEST_CASE("nobody follows to a backend that is full") {
  for (const auto& affinity : with_keys_from_answers()) {
    Stage stage(pool_with(affinity));
    for (Backend& backend : stage.fleet.backends) backend.max_sessions = 2;
    for (int i = 0; i < 6; ++i) {
      const std::string id = std::to_string(i);
      CHECK(stage.send({.sets = "JSESSIONID=" + id}).slot() != kNoSlot);
    }
    for (Slot slot = 0; slot < 3; ++slot) CHECK(stage.homes().live(slot) == 2);
    CHECK(stage.send({}).reason() == Reason::full);
    stage.check_books();
  }
}

TEST_CASE("a slot that a fleet does not have, or has free, is not chosen") {
  Stage stage(pool_with({Kind::cookie}));
  const Slot first = stage.send({}).slot();
  const std::vector<Slot> gone{first};
  stage.fleet.backends[first].listed = false;
  stage.fleet.backends[first].weight = 0;
  stage.fleet.free(gone);
  CHECK(stage.send({}).slot() != first);

  Stage shrunk(pool_with({Kind::cookie}));
  while (shrunk.send({}).slot() != 2) shrunk.send({.at = 100});
  const Slot last = shrunk.send({}).slot();
  CHECK(last == 2);
  shrunk.fleet.drop_last();
  CHECK(shrunk.send({}).slot() < 2);
}

TEST_CASE("a request with a key neither follows nor leads") {
  Stage stage(pool_with({Kind::session_id}));
  const Slot guess = stage.send({.cookie = "JSESSIONID=unknown"}).slot();
  std::set<Slot> homes;
  for (int i = 0; i < 30; ++i) homes.insert(stage.send({.cookie = "JSESSIONID=" + std::to_string(i)}).slot());
  CHECK(homes.size() == 3);
  const Slot first = stage.send({}).slot();
  CHECK(stage.send({.cookie = "JSESSIONID=unknown"}).slot() == guess);
  CHECK(stage.send({}).slot() == first);
}

TEST_CASE("what is of no session neither follows nor leads") {
  conf::Pool pool = pool_with({Kind::cookie});
  pool.stateless_paths = {"/"};
  Stage stage(pool);
  std::set<Slot> turns;
  for (int i = 0; i < 3; ++i) turns.insert(stage.send({}).slot());
  CHECK(turns.size() == 3);
}

TEST_CASE("a reload does not part what a browser asked for at once") {
  const conf::Pool pool = pool_with({Kind::cookie});
  Stage stage(pool);
  const Slot first = stage.send({}).slot();
  Router later(pool, {std::string(32, 'k')}, std::string(32, 's'), stage.router.memory());
  const Identity identity = stage.identify({});
  const Choice choice = later.choose(identity, stage.fleet, {}, Said{}.now());
  CHECK(choice.slot == first);
  later.release(choice);
}

}  // namespace limpet::routing::first_contact_test
