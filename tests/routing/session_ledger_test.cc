// What the session table counts, one thing at a time.
#include <doctest/doctest.h>

#include "routing/session_table.h"
#include "tests/routing/balance.h"

namespace limpet::routing::session_ledger_test {

using limpet::routing::test::is_balanced;
using Room = SessionTable::Room;
using Begun = SessionTable::Begun;
using Visit = SessionTable::Visit;
using Word = SessionTable::Word;

constexpr uint32_t kNow = 1'700'000'000;
constexpr uint64_t kKey = 42;

// One session, at home 0 to begin with.
struct Desk {
  explicit Desk(Begun begun = Begun::by_answer) { table.open(kKey, 0, kNow, Room::none, begun); }

  void move(Slot from, Slot to, uint32_t now = kNow) {
    REQUIRE(table.homes().reserve(to, 0));
    if (!table.move(kKey, from, to, now).added) table.homes().release(to);
  }
  void pin(Slot to) {
    REQUIRE(table.homes().reserve(to, 0));
    if (!table.rehome(kKey, to, kNow).added) table.homes().release(to);
  }
  // To a request that left when the data was at `from`; it is lost, unless the storage says otherwise.
  void answer(Slot slot, Slot from, Word word = Word::none, uint32_t now = kNow,
              SessionTable::Asked asked = SessionTable::Asked::to_read) {
    table.answered(kKey, slot, from, now, word, asked, {storage, fleet});
  }
  Slot data_home() { return table.find_and_touch(kKey, kNow, Visit::retry).data_home; }
  void check(uint64_t loads) {
    CHECK(is_balanced(table.census()));
    uint64_t load = 0;
    for (Slot home = 0; home < 5; ++home) {
      CHECK(is_balanced(table.homes().census(home)));
      load += table.homes().load(home);
    }
    CHECK(load == loads);
  }
  uint64_t count(Event event) { return table.census().books.all[event]; }
  uint64_t at(Slot home, Event event) { return table.homes().census(home).books.all[event]; }
  uint64_t live(Slot home) { return table.homes().live(home); }

  SessionTable table{1000, {.idle = 600, .unreturned = 60}};
  conf::Storage storage = conf::Storage::local;
  Fleet fleet;
};

TEST_CASE("a session that moves is its old home's until the new one answers, and has a place at both") {
  Desk desk;
  desk.move(0, 1);
  CHECK(desk.table.find(kKey, kNow).home == 1);
  CHECK(desk.data_home() == 0);
  CHECK(desk.count(Event::lost) == 0);
  CHECK(desk.live(0) == 1);
  CHECK(desk.live(1) == 0);
  desk.check(2);
  desk.answer(1, 0);
  CHECK(desk.data_home() == 1);
  CHECK(desk.live(0) == 0);
  CHECK(desk.live(1) == 1);
  desk.check(1);
}

TEST_CASE("a lost session ends at its old home, and its client's new one is opened at the new one") {
  Desk desk;
  desk.move(0, 1, kNow + 10);
  desk.answer(1, 0, Word::none, kNow + 11);
  CHECK(desk.at(0, Event::lost) == 1);
  CHECK(desk.at(1, Event::opened) == 1);
  CHECK(desk.table.homes().census(1).arrived == 0);
  CHECK(desk.count(Event::opened) == 2);
  CHECK(desk.count(Event::confirmed) == 0);
  CHECK(desk.table.find(kKey, kNow + 11).first_seen == kNow + 11);
  desk.check(1);
}

TEST_CASE("where the new home deletes the id the session is lost, and nothing begins") {
  Desk desk;
  desk.move(0, 1);
  desk.answer(1, 0, Word::deletion);
  CHECK(desk.at(0, Event::lost) == 1);
  CHECK(desk.at(0, Event::confirmed) == 1);
  CHECK(desk.count(Event::opened) == 1);
  CHECK(desk.count(Event::logged_out) == 0);
  CHECK(desk.table.find(kKey, kNow).home == kNoSlot);
  desk.check(0);
}

TEST_CASE(
    "whoever has a session's data logs it out by a deletion: its home, the first to answer, whom it is "
    "carried to") {
  Desk desk(Begun::by_request);
  SUBCASE("its home") {
    desk.answer(0, kNoSlot);
    desk.answer(0, 0, Word::deletion);
    CHECK(desk.at(0, Event::logged_out) == 1);
  }
  SUBCASE("the first to answer") {
    desk.answer(0, kNoSlot, Word::deletion);
    CHECK(desk.at(0, Event::logged_out) == 1);
  }
  SUBCASE("the first to answer, elsewhere") {
    desk.move(0, 1);
    desk.answer(1, kNoSlot, Word::deletion);
    CHECK(desk.at(1, Event::logged_out) == 1);
  }
  SUBCASE("whom it is carried to") {
    desk.storage = conf::Storage::shared;
    desk.answer(0, kNoSlot);
    desk.move(0, 1);
    desk.answer(1, 0, Word::deletion);
    CHECK(desk.at(0, Event::carried) == 1);
    CHECK(desk.at(1, Event::logged_out) == 1);
  }
  CHECK(desk.count(Event::lost) == 0);
  desk.check(0);
}

TEST_CASE("a deletion that others have overtaken tells nothing") {
  Desk desk;
  desk.move(0, 1);
  desk.answer(1, 0);
  desk.answer(2, 0, Word::deletion);
  desk.table.log_out(kKey, 0, kNow);
  CHECK(desk.count(Event::logged_out) == 0);
  CHECK(desk.live(1) == 1);
  desk.check(1);
}

TEST_CASE("a loss is confirmed at the home that lost, by a new id alone") {
  Desk desk;
  desk.move(0, 1);
  desk.answer(1, 0, Word::new_id);
  CHECK(desk.count(Event::confirmed) == 1);
  CHECK(desk.at(0, Event::confirmed) == 1);
  desk.storage = conf::Storage::shared;
  desk.move(1, 2);
  desk.answer(2, 1, Word::new_id);
  CHECK(desk.count(Event::confirmed) == 1);
}

TEST_CASE("a carried session is the same one elsewhere") {
  Desk desk;
  desk.storage = conf::Storage::shared;
  desk.move(0, 1, kNow + 10);
  desk.answer(1, 0, Word::none, kNow + 10);
  CHECK(desk.at(0, Event::carried) == 1);
  CHECK(desk.table.homes().census(1).arrived == 1);
  CHECK(desk.count(Event::opened) == 1);
  CHECK(desk.table.find(kKey, kNow + 10).first_seen == kNow);
  desk.check(1);
}

TEST_CASE("a session that an operator moves is there at once, and has nothing to lose on the way") {
  Desk desk;
  desk.pin(1);
  CHECK(desk.at(0, Event::moved) == 1);
  CHECK(desk.live(1) == 1);
  CHECK(desk.data_home() == kNoSlot);
  desk.check(1);
  desk.move(1, 2);
  CHECK(desk.at(1, Event::reassigned) == 1);
  desk.answer(2, kNoSlot, Word::new_id);
  CHECK(desk.count(Event::lost) == 0);
  desk.check(1);
}

TEST_CASE("a session that nobody has answered yet is reassigned, not lost") {
  Desk desk(Begun::by_request);
  desk.move(0, 1);
  CHECK(desk.at(0, Event::reassigned) == 1);
  CHECK(desk.table.homes().census(1).arrived == 1);
  CHECK(desk.live(1) == 1);
  desk.check(1);
  desk.answer(1, kNoSlot);
  desk.move(1, 2);
  desk.answer(2, 1);
  CHECK(desk.count(Event::lost) == 1);
}

TEST_CASE("a session that is sent on before it is answered is lost once, by the backend that had it") {
  Desk desk;
  desk.move(0, 1);
  desk.move(1, 2);
  desk.move(2, 3);
  desk.check(2);
  desk.answer(3, 0);
  CHECK(desk.count(Event::lost) == 1);
  CHECK(desk.at(0, Event::lost) == 1);
  CHECK(desk.live(3) == 1);
  desk.check(1);
}

TEST_CASE("a move costs what it costs where it is answered, whatever lay on the way") {
  Desk desk;
  desk.storage = conf::Storage::backup;
  desk.fleet.backends.resize(3);
  for (Backend& backend : desk.fleet.backends) backend.backup = kGoneSlot;
  desk.fleet.backends[0].backup = 2;
  desk.move(0, 1);
  desk.move(1, 2);
  desk.answer(2, 0);
  CHECK(desk.count(Event::lost) == 0);
  CHECK(desk.at(0, Event::carried) == 1);
  desk.move(2, 0);
  desk.answer(0, 2);
  CHECK(desk.at(2, Event::lost) == 1);
}

TEST_CASE("a session that goes back to its data before anybody else answered has lost nothing") {
  Desk desk;
  desk.move(0, 1);
  desk.move(1, 0);
  CHECK(desk.table.find(kKey, kNow).home == 0);
  CHECK(desk.data_home() == 0);
  desk.check(1);
  desk.answer(0, kNoSlot);
  CHECK(desk.count(Event::lost) == 0);
  CHECK(desk.count(Event::opened) == 1);
}

TEST_CASE("only the first answer of the new home settles a move") {
  Desk desk;
  desk.move(0, 1);
  desk.answer(0, 0);  // a late one of the old home
  CHECK(desk.count(Event::lost) == 0);
  for (int i = 0; i < 3; ++i) desk.answer(1, 0);
  CHECK(desk.count(Event::lost) == 1);
}

// --- Late answers ---

TEST_CASE(
    "a backend that a session was sent on from, and that answers late, has it in the books until its home "
    "does") {
  Desk desk;
  desk.move(0, 1);
  desk.move(1, 2);
  desk.answer(1, 0, Word::new_id);
  CHECK(desk.at(0, Event::lost) == 1);
  CHECK(desk.at(0, Event::confirmed) == 1);
  CHECK(desk.at(1, Event::opened) == 1);
  CHECK(desk.live(1) == 1);
  CHECK(desk.data_home() == 1);
  CHECK(desk.table.find(kKey, kNow).home == 2);
  desk.check(2);  // there, and on its way to its home
  desk.answer(2, 0);
  CHECK(desk.at(1, Event::lost) == 1);
  CHECK(desk.at(2, Event::opened) == 1);
  CHECK(desk.count(Event::lost) == 2);
  CHECK(desk.live(2) == 1);
  desk.check(1);
}

TEST_CASE(
    "a late answer tells nothing once the session's home has answered, or another late one came first") {
  Desk desk;
  desk.move(0, 1);
  desk.move(1, 2);
  desk.move(2, 3);
  desk.answer(1, 0);
  desk.answer(2, 0);  // its client has been at 1 since
  CHECK(desk.data_home() == 1);
  CHECK(desk.count(Event::lost) == 1);
  desk.answer(3, 0);
  desk.answer(2, 0);
  CHECK(desk.data_home() == 3);
  CHECK(desk.count(Event::lost) == 2);
  desk.check(1);
}

TEST_CASE("a session that a late answer carried is the same one all the way") {
  Desk desk;
  desk.storage = conf::Storage::shared;
  desk.move(0, 1);
  desk.move(1, 2);
  desk.answer(1, 0);
  desk.answer(2, 1);
  CHECK(desk.at(0, Event::carried) == 1);
  CHECK(desk.at(1, Event::carried) == 1);
  CHECK(desk.count(Event::opened) == 1);
  CHECK(desk.table.find(kKey, kNow).first_seen == kNow);
  desk.check(1);
}

TEST_CASE("a session whose data a late answer has goes back there as one that never left") {
  Desk desk;
  desk.move(0, 1);
  desk.move(1, 2);
  desk.answer(1, 0);
  desk.move(2, 1);
  CHECK(desk.data_home() == 1);
  CHECK(desk.count(Event::lost) == 1);
  desk.check(1);
}

TEST_CASE(
    "a session that is reassigned, and that the first home answers after all, is that one's until its home "
    "answers") {
  Desk desk(Begun::by_request);
  desk.move(0, 1);
  desk.answer(0, kNoSlot);
  CHECK(desk.at(1, Event::reassigned) == 1);
  CHECK(desk.data_home() == 0);
  CHECK(desk.table.find(kKey, kNow).home == 1);
  CHECK(desk.live(0) == 1);
  desk.check(2);
  desk.answer(1, kNoSlot);
  CHECK(desk.at(0, Event::lost) == 1);
  CHECK(desk.at(1, Event::opened) == 1);
  CHECK(desk.live(1) == 1);
  desk.check(1);
}

TEST_CASE("a session that is reassigned has nothing to lose by an answer that comes after its home's") {
  Desk desk(Begun::by_request);
  desk.move(0, 1);
  desk.answer(1, kNoSlot);
  desk.answer(0, kNoSlot);
  CHECK(desk.data_home() == 1);
  CHECK(desk.count(Event::reassigned) == 1);
  CHECK(desk.count(Event::lost) == 0);
  desk.check(1);
}

TEST_CASE(
    "a late answer counts also where the session is back at its data, to which it is on its way again then") {
  Desk desk;
  desk.move(0, 1);
  desk.move(1, 0);
  desk.answer(1, 0);
  CHECK(desk.at(0, Event::lost) == 1);
  CHECK(desk.data_home() == 1);
  CHECK(desk.table.find(kKey, kNow).home == 0);
  desk.check(2);
  desk.answer(0, 1);
  CHECK(desk.at(1, Event::lost) == 1);
  CHECK(desk.data_home() == 0);
  desk.check(1);
}

// --- Orders ---

TEST_CASE(
    "a session that an operator pins to where it heads already is moved, and has nothing to lose there") {
  Desk desk;
  desk.move(0, 1);
  desk.pin(1);
  CHECK(desk.at(0, Event::moved) == 1);
  CHECK(desk.table.homes().census(1).arrived == 1);
  CHECK(desk.live(1) == 1);
  CHECK(desk.data_home() == kNoSlot);
  desk.check(1);
  desk.answer(1, 0);
  CHECK(desk.count(Event::lost) == 0);
  CHECK(desk.data_home() == 1);
  desk.pin(1);
  CHECK(desk.count(Event::moved) == 1);
  desk.check(1);
}

TEST_CASE(
    "a session that an operator pins on its way elsewhere is moved from its old home, and leaves no place "
    "behind") {
  Desk desk;
  desk.move(0, 1);
  desk.pin(2);
  CHECK(desk.at(0, Event::moved) == 1);
  CHECK(desk.live(2) == 1);
  desk.check(1);
}

TEST_CASE("a session that an operator pins to where its data still is has not moved") {
  Desk desk;
  desk.move(0, 1);
  desk.pin(0);
  CHECK(desk.count(Event::moved) == 0);
  CHECK(desk.data_home() == 0);
  desk.check(1);
}

TEST_CASE("where sessions fail back, one that an operator pins to where it is belongs there") {
  Desk desk;
  desk.table.set_failback(true);
  desk.move(0, 1);
  desk.answer(1, 0);
  CHECK(desk.table.find_and_touch(kKey, kNow).first_home == 0);
  desk.pin(1);
  CHECK(desk.table.find_and_touch(kKey, kNow).first_home == 1);
  CHECK(desk.count(Event::moved) == 0);
}

// --- Endings and counts ---

TEST_CASE(
    "a session that idles out while its home is out of service is abandoned, by the backend that had it") {
  Desk desk;
  desk.table.homes().set_in_service(0, false);
  desk.move(0, 1);
  CHECK(desk.table.find(kKey, kNow + 61).home == kNoSlot);
  CHECK(desk.at(0, Event::abandoned) == 1);
  CHECK(desk.count(Event::expired) == 0);
  desk.check(0);
}

TEST_CASE("a session that idles out after its home came back has expired") {
  Desk desk;
  desk.table.homes().set_in_service(0, false);
  desk.table.homes().set_in_service(0, true);
  CHECK(desk.table.census().at_risk == 1);
  CHECK(desk.table.find(kKey, kNow + 61).home == kNoSlot);
  CHECK(desk.count(Event::expired) == 1);
  CHECK(desk.count(Event::recovered) == 0);
  CHECK(desk.table.census().at_risk == 0);
}

TEST_CASE("a session is at risk until its home has answered it, be that back or not") {
  Desk desk;
  desk.table.homes().set_in_service(0, false);
  CHECK(desk.table.census().at_risk == 1);
  desk.answer(0, 0, Word::none);
  CHECK(desk.table.census().at_risk == 1);
  desk.table.homes().set_in_service(0, true);
  CHECK(desk.table.census().at_risk == 1);
  CHECK(desk.table.find_and_touch(kKey, kNow).open_question);
  desk.answer(0, 0, Word::none);
  CHECK(desk.table.census().at_risk == 0);
  CHECK_FALSE(desk.table.find_and_touch(kKey, kNow).open_question);
  CHECK(desk.count(Event::recovered) == 1);
  desk.answer(0, 0, Word::none);
  CHECK(desk.count(Event::recovered) == 1);
  desk.check(1);
}

TEST_CASE("where the first answer after an outage sets another id, the home came back without the session") {
  Desk desk;
  desk.table.homes().set_in_service(0, false);
  desk.table.homes().set_in_service(0, true);
  desk.answer(0, 0, Word::new_id);
  CHECK(desk.at(0, Event::lost) == 1);
  CHECK(desk.at(0, Event::restarted) == 1);
  CHECK(desk.count(Event::recovered) == 0);
  CHECK(desk.at(0, Event::opened) == 2);
  CHECK(desk.table.census().at_risk == 0);
  CHECK(desk.table.renew(kKey, 43, 0, kNow));
  desk.answer(0, 0, Word::new_id);
  CHECK(desk.count(Event::lost) == 1);
  desk.check(1);
}

TEST_CASE("where the first answer after an outage deletes the id, the session is lost, and no other begins") {
  Desk desk;
  desk.table.homes().set_in_service(0, false);
  desk.table.homes().set_in_service(0, true);
  desk.answer(0, 0, Word::deletion);
  CHECK(desk.at(0, Event::restarted) == 1);
  CHECK(desk.at(0, Event::lost) == 1);
  CHECK(desk.count(Event::logged_out) == 0);
  CHECK(desk.table.census().live == 0);
  desk.check(0);
}

TEST_CASE("who is refused by the first answer after an outage may have been lost: that is uncertain") {
  Desk desk;
  desk.answer(0, 0, Word::refusal);
  CHECK(desk.count(Event::uncertain) == 0);
  desk.table.homes().set_in_service(0, false);
  desk.table.homes().set_in_service(0, true);
  desk.answer(0, 0, Word::refusal);
  desk.answer(0, 0, Word::refusal);
  CHECK(desk.count(Event::recovered) == 1);
  CHECK(desk.count(Event::uncertain) == 1);
  CHECK(desk.table.find_and_touch(kKey, kNow).open_question);
  desk.move(0, 1);
  desk.answer(1, 0, Word::refusal);
  CHECK(desk.count(Event::lost) == 0);
  CHECK(desk.count(Event::uncertain) == 2);
  desk.check(1);
}

TEST_CASE(
    "where the one backup says that it does not know a session, whether that was carried is uncertain") {
  for (const Word word : {Word::none, Word::same_id, Word::new_id, Word::deletion}) {
    Desk desk;
    desk.storage = conf::Storage::backup;
    desk.fleet.backends.resize(3);
    desk.fleet.backends[0].backup = 1;
    desk.move(0, 1);
    desk.answer(1, 0, word);
    CHECK(desk.count(Event::carried) == 1);
    CHECK(desk.count(Event::uncertain) == (word == Word::new_id || word == Word::deletion));
  }
}

TEST_CASE("the same to a request that changes something may be a login or a logout: it is uncertain") {
  for (const Word word : {Word::new_id, Word::deletion}) {
    Desk desk;
    desk.table.homes().set_in_service(0, false);
    desk.table.homes().set_in_service(0, true);
    desk.answer(0, 0, word, kNow, SessionTable::Asked::to_change);
    CHECK(desk.count(Event::lost) == 0);
    CHECK(desk.count(Event::uncertain) == 1);
    CHECK(desk.count(Event::recovered) == (word == Word::new_id));
    CHECK(desk.count(Event::logged_out) == (word == Word::deletion));
    desk.check(word == Word::new_id);
  }
}

TEST_CASE("a session that is restored after its home was away is lost where its first answer says so") {
  for (const Word word : {Word::none, Word::same_id, Word::new_id, Word::deletion}) {
    for (const bool was_away : {false, true}) {
      CAPTURE(was_away);
      Desk desk;
      desk.table.homes().set_shaken(0, 100);
      desk.table.restore(43, 0, kNow, 0, true, false, was_away ? 100 : 101);
      const auto answer = [&](Word said) {
        desk.table.answered(43, 0, 0, kNow, said, SessionTable::Asked::to_read, {desk.storage, desk.fleet});
      };
      CHECK(desk.table.find_and_touch(43, kNow).open_question == was_away);
      answer(word);
      const bool is_lost = was_away && (word == Word::new_id || word == Word::deletion);
      CHECK(desk.count(Event::lost) == is_lost);
      CHECK(desk.count(Event::restarted) == is_lost);
      CHECK(desk.count(Event::logged_out) == (!is_lost && word == Word::deletion));
      CHECK(desk.table.census().at_risk == 0);
      CHECK_FALSE(desk.table.find_and_touch(43, kNow).open_question);
      answer(Word::new_id);  // it has been heard
      CHECK(desk.count(Event::lost) == is_lost);
      desk.check(desk.table.census().live);
    }
  }
}

TEST_CASE("a home that adopts any id tells by nothing that it has come back empty: that is uncertain") {
  using enum Cost::Silence;
  for (const auto silence : {is_session, is_adopted, leaves_unproven}) {
    for (const auto storage : {conf::Storage::local, conf::Storage::backup, conf::Storage::shared}) {
      for (const Word word : {Word::none, Word::same_id}) {
        Desk desk;
        const auto answer = [&] {
          desk.table.answered(kKey, 0, 0, kNow, word, SessionTable::Asked::to_read,
                              {storage, desk.fleet, silence});
        };
        answer();
        CHECK(desk.count(Event::uncertain) == 0);
        desk.table.homes().set_in_service(0, false);
        desk.table.homes().set_in_service(0, true);
        answer();
        const bool is_uncertain = silence == is_adopted && storage != conf::Storage::shared;
        CHECK(desk.at(0, Event::uncertain) == is_uncertain);
        CHECK(desk.at(0, Event::recovered) == 1);
        answer();
        CHECK(desk.count(Event::uncertain) == is_uncertain);
        desk.check(1);
      }
    }
  }
}

TEST_CASE(
    "a session that is lost and of which its new home says nothing is unproven, and in nobody's books") {
  Desk desk;
  const Cost silent{conf::Storage::local, desk.fleet, Cost::Silence::leaves_unproven};
  const auto answer = [&](Slot slot, Slot from, Word word) {
    desk.table.answered(kKey, slot, from, kNow, word, SessionTable::Asked::to_read, silent);
  };
  desk.move(0, 1);
  answer(1, 0, Word::none);
  CHECK(desk.count(Event::lost) == 1);
  CHECK(desk.count(Event::opened) == 1);
  CHECK(desk.table.census().live == 0);
  desk.check(0);
  const auto found = desk.table.find_and_touch(kKey, kNow);
  CHECK(found.ghost);
  CHECK(found.home == 1);
  CHECK(desk.table.binding(kKey, kNow).unproven);
  SUBCASE("should it move again, whether anything is lost is uncertain") {
    desk.move(1, 2);
    CHECK(desk.table.find_and_touch(kKey, kNow).home == 2);
    answer(2, 1, Word::none);
    CHECK(desk.count(Event::lost) == 1);
    CHECK(desk.count(Event::uncertain) == 1);
    CHECK(desk.table.find_and_touch(kKey, kNow).data_home == 2);
    answer(2, 1, Word::none);
    CHECK(desk.count(Event::uncertain) == 1);
  }
  SUBCASE("it is a session once an answer sets its id") {
    const auto begun = desk.table.open(kKey, 1, kNow, Room::none, Begun::by_answer);
    CHECK(begun.added);
    CHECK(begun.choice == 1);  // its homes are counted on
    CHECK(desk.count(Event::opened) == 2);
    CHECK(desk.table.census().live == 1);
  }
  SUBCASE("a deletion ends what there was") {
    answer(1, 1, Word::deletion);
    CHECK(desk.table.census().entries == 0);
    CHECK(desk.count(Event::logged_out) == 0);
  }
  SUBCASE("an operator can unbind it") {
    CHECK(desk.table.unbind(kKey, kNow));
    CHECK(desk.count(Event::unbound) == 0);
    CHECK(desk.table.find_and_touch(kKey, kNow).home == kNoSlot);
  }
  desk.check(desk.table.census().live);
}

TEST_CASE(
    "where a new home's silence is a session, or it sets the same id, the lost one's client has another") {
  for (const bool proves_nothing : {false, true}) {
    Desk desk;
    desk.move(0, 1);
    desk.table.answered(kKey, 1, 0, kNow, proves_nothing ? Word::same_id : Word::none,
                        SessionTable::Asked::to_read,
                        {conf::Storage::local, desk.fleet,
                         proves_nothing ? Cost::Silence::leaves_unproven : Cost::Silence::is_session});
    CHECK(desk.count(Event::lost) == 1);
    CHECK(desk.count(Event::confirmed) == 0);
    CHECK(desk.count(Event::opened) == 2);
    desk.check(1);
  }
}

TEST_CASE("a session that was abandoned and is back while its home is away is restored, and doubtful") {
  Desk desk;
  desk.table.set_limits(1000, {.idle = 600, .unreturned = 60, .renewal_grace = 30, .dormant = 10'000});
  desk.table.homes().set_in_service(0, false);
  CHECK(desk.table.find(kKey, kNow + 61).home == kNoSlot);
  CHECK(desk.count(Event::abandoned) == 1);
  desk.table.find_and_touch(kKey, kNow + 70);
  CHECK(desk.count(Event::restored) == 1);
  desk.move(0, 1, kNow + 70);
  desk.answer(1, 0, Word::none, kNow + 70);
  CHECK(desk.count(Event::lost) == 0);
  CHECK(desk.count(Event::uncertain) == 1);
  CHECK(desk.count(Event::reassigned) == 1);
  desk.check(1);
}

TEST_CASE("a home that was never away deletes and renews as it likes") {
  Desk desk;
  desk.answer(0, 0, Word::new_id);
  CHECK(desk.count(Event::lost) == 0);
  desk.table.homes().put_at_risk(0);
  CHECK(desk.table.census().at_risk == 1);
  desk.answer(0, 0, Word::new_id);
  CHECK(desk.count(Event::restarted) == 1);
}

TEST_CASE("a session that ends on its way leaves no place behind") {
  Desk desk;
  desk.move(0, 1);
  desk.table.log_out(kKey, desk.table.find(kKey, kNow).booked_at, kNow);
  CHECK(desk.at(0, Event::logged_out) == 1);
  desk.check(0);
}

TEST_CASE("a session on its way is not renewed: it would take its loss along") {
  Desk desk;
  desk.move(0, 1);
  CHECK_FALSE(desk.table.renew(kKey, 43, 1, kNow));
  desk.answer(1, 0, Word::new_id);
  CHECK(desk.table.renew(kKey, 43, 1, kNow));
}

TEST_CASE("a session has returned once its client came back, and from then on every count says so") {
  Desk desk;
  desk.table.find_and_touch(kKey, kNow, Visit::retry);
  CHECK(desk.table.census().live_returned == 0);
  desk.table.find_and_touch(kKey, kNow);
  CHECK(desk.table.census().live_returned == 1);
  desk.table.homes().set_in_service(0, false);
  CHECK(desk.table.census().at_risk_returned == 1);
  desk.move(0, 1);
  desk.answer(1, 0, Word::new_id);
  const Books books = desk.table.census().books;
  CHECK(books.returned[Event::lost] == 1);
  CHECK(books.returned[Event::confirmed] == 1);
  CHECK(books.returned[Event::opened] == 1);  // the second: its client is back with it
  CHECK(desk.table.homes().census(0).books.returned[Event::lost] == 1);
  CHECK(desk.table.homes().census(1).live_returned == 1);
}

TEST_CASE("new limits hold from the next call on") {
  Desk desk;
  desk.table.set_limits(1, {.idle = 600, .unreturned = 5});
  desk.table.open(43, 0, kNow, Room::none, Begun::by_answer);
  CHECK(desk.count(Event::evicted) == 1);
  CHECK(desk.table.find(43, kNow + 5).home == 0);
  CHECK(desk.table.find(43, kNow + 6).home == kNoSlot);
}

TEST_CASE("a former key lasts as long as renewal_grace says when it is used, not when it was left") {
  SessionTable table(1000, {.idle = 600, .unreturned = 60, .renewal_grace = 10});
  for (const uint64_t key : {1u, 3u}) {
    table.open(key, 0, kNow, Room::none, Begun::by_answer);
    table.renew(key, key + 1, 0, kNow);
  }
  CHECK(table.find(1, kNow + 10).home == 0);
  CHECK(table.find(1, kNow + 11).home == kNoSlot);
  table.set_limits(1000, {.idle = 600, .unreturned = 60, .renewal_grace = 20});
  CHECK(table.find(3, kNow + 20).home == 0);
  CHECK(table.find(3, kNow + 21).home == kNoSlot);
}

TEST_CASE("without a renewal_grace a former key leads nowhere from the next second on") {
  SessionTable table(1000, {.idle = 600, .unreturned = 60, .renewal_grace = 0});
  table.open(1, 0, kNow, Room::none, Begun::by_answer);
  table.renew(1, 2, 0, kNow);
  CHECK(table.find(1, kNow).home == 0);
  CHECK(table.find(1, kNow + 1).home == kNoSlot);
  CHECK(table.find(2, kNow + 1).home == 0);
}

TEST_CASE("the sessions at a home are those whose requests go there") {
  Desk desk;
  desk.table.open(43, 0, kNow, Room::none, Begun::by_answer);
  desk.table.open(44, 1, kNow + 1, Room::none, Begun::by_answer);
  CHECK(desk.table.sessions_at(0).size() == 2);
  desk.move(0, 1);
  CHECK(desk.table.sessions_at(0).size() == 1);
  CHECK(desk.table.sessions_at(1).size() == 2);
  CHECK(desk.table.sessions_at(2).empty());
}

TEST_CASE("sessions of a backend that this process never had are at risk from the start") {
  Desk desk;
  desk.table.restore(43, kGoneSlot, kNow);
  CHECK(desk.table.census().at_risk == 1);
  CHECK(desk.table.find(43, kNow + 601).home == kNoSlot);
  CHECK(desk.count(Event::abandoned) == 1);
}

TEST_CASE("the sessions at several homes are those at each of them") {
  Desk desk;
  desk.table.open(43, 3, kNow, Room::none, Begun::by_answer);
  desk.table.open(44, 3, kNow, Room::none, Begun::by_answer);
  const Slot homes[] = {3, 2, 0};
  const auto sessions = desk.table.sessions_at(homes);
  REQUIRE(sessions.size() == 3);
  CHECK(sessions[0].size() == 2);
  CHECK(sessions[1].empty());
  CHECK(sessions[2].size() == 1);
}

TEST_CASE("a home that is forgotten is nobody's first home any more") {
  Desk desk;
  desk.table.set_failback(true);
  desk.move(0, 1);
  desk.answer(1, 0);
  desk.table.open(43, 2, kNow, Room::none, Begun::by_answer);
  REQUIRE(desk.table.find(kKey, kNow).first_home == 0);
  const Slot gone[] = {0};
  desk.table.forget(gone);
  CHECK(desk.table.find(kKey, kNow).first_home == 1);
  CHECK(desk.table.find(43, kNow).first_home == 2);
  desk.check(2);
}

TEST_CASE("a home's census less an earlier one is what happened since") {
  Desk desk;
  const HomeCensus before = desk.table.homes().census(0);
  desk.table.open(43, 0, kNow, Room::none, Begun::by_answer);
  const HomeCensus since = desk.table.homes().census(0) - before;
  CHECK(since.books.all[Event::opened] == 1);
  CHECK(since.live == 2);
}

// ---- dormant sessions

struct Sleeper {
  static constexpr SessionTable::Timeouts kTimeouts{.idle = 600, .unreturned = 60, .dormant = 3600};

  // Its client has not come back for a minute.
  Sleeper() {
    table.open(kKey, 0, kNow, Room::none, Begun::by_answer);
    sweep(kNow + 61);
  }
  void sweep(uint32_t now) {
    for (size_t i = 0; i < SessionTable::kSweeps; ++i) table.sweep(now);
  }
  uint64_t count(Event event) { return table.census().books.all[event]; }
  void check(uint64_t live, uint64_t entries) {
    const Census census = table.census();
    CHECK(is_balanced(census));
    CHECK(census.live == live);
    CHECK(census.entries == entries);
    for (const Slot home : {Slot{0}, Slot{1}}) CHECK(is_balanced(table.homes().census(home)));
  }

  SessionTable table{1000, kTimeouts};
};

TEST_CASE(
    "a session that idled out has expired, and is restored at home when its client comes back after all") {
  Sleeper it;
  CHECK(it.count(Event::expired) == 1);
  CHECK(it.table.homes().is_empty(0));
  CHECK(it.table.find(kKey, kNow + 66).home == kNoSlot);
  CHECK(it.table.knows(kKey, kNow + 66));
  it.check(0, 1);
  CHECK(it.table.find_and_touch(kKey, kNow + 66).home == 0);
  CHECK(it.count(Event::restored) == 1);
  CHECK(it.table.homes().live(0) == 1);
  it.check(1, 1);
  it.sweep(kNow + 66 + 599);  // it has returned
  it.check(1, 1);
}

TEST_CASE("a dormant session is forgotten after dormant_timeout, and with its home") {
  Sleeper it;
  SUBCASE("time") {
    it.sweep(kNow + 3600);
    it.check(0, 1);
    it.sweep(kNow + 3601);
  }
  SUBCASE("time, when it is asked for") { CHECK_FALSE(it.table.knows(kKey, kNow + 3601)); }
  SUBCASE("its home") {
    const Slot gone = 0;
    it.table.forget(std::span(&gone, 1));
  }
  SUBCASE("its home's word") { it.table.log_out(kKey, 0, kNow + 70); }
  CHECK(it.table.find_and_touch(kKey, kNow + 3601).home == kNoSlot);
  CHECK(it.count(Event::logged_out) == 0);
  it.check(0, 0);
}

TEST_CASE("a dormant session gives way to one that begins under its key, and to an operator's word") {
  Sleeper it;
  SUBCASE("a session") {
    CHECK(it.table.open(kKey, 1, kNow + 70, Room::none, Begun::by_answer).added);
    CHECK(it.table.find(kKey, kNow + 70).home == 1);
    CHECK(it.count(Event::opened) == 2);
    it.check(1, 1);
  }
  SUBCASE("an operator") {
    CHECK(it.table.unbind(kKey, kNow + 70));
    CHECK(it.table.is_unbound(kKey, kNow + 70));
    CHECK(it.count(Event::unbound) == 0);
    it.check(0, 1);
  }
  SUBCASE("another home's word, which is none") {
    it.table.log_out(kKey, 1, kNow + 70);
    CHECK(it.table.knows(kKey, kNow + 70));
  }
}

TEST_CASE("a session whose time is over does not sleep, however busy it was") {
  SessionTable table(1000, Sleeper::kTimeouts);
  table.open(kKey, 0, kNow, Room::none, Begun::by_answer);
  table.expire(kKey, kNow + 1);
  CHECK_FALSE(table.knows(kKey, kNow + 1));
  CHECK(table.census().entries == 0);
}

TEST_CASE("where the table is full dormant sessions give way before any other") {
  SessionTable table(100, Sleeper::kTimeouts);
  for (uint64_t key = 1; key <= 50; ++key) table.open(key << 40, 0, kNow, Room::none, Begun::by_answer);
  for (size_t i = 0; i < SessionTable::kSweeps; ++i) table.sweep(kNow + 61);
  for (uint64_t key = 51; key <= 150; ++key)
    table.open(key << 40, 0, kNow + 61, Room::none, Begun::by_answer);
  const Census census = table.census();
  CHECK(census.entries == 100);
  CHECK(census.live == 100);
  CHECK(census.books.all[Event::evicted] == 0);
}

}  // namespace limpet::routing::session_ledger_test
