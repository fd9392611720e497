// The session table against the plain model: whatever is done to both, they say and count the same.
#include "tests/routing/session_model.h"

#include <doctest/doctest.h>

#include <array>

#include "routing/hash.h"
#include "tests/routing/balance.h"
#include "tests/routing/random_inputs.h"

namespace limpet::routing::session_model_test {

using limpet::routing::test::Inputs;
using limpet::routing::test::is_balanced;
using limpet::routing::test::SessionModel;
using Room = SessionTable::Room;
using Begun = SessionTable::Begun;

constexpr SessionTable::Timeouts kTimeouts{
    .idle = 600, .unreturned = 60, .renewal_grace = 30, .dormant = 900};

// In more than one chunk of counters.
constexpr std::array<Slot, 6> kHomes = {0, 1, 2, 63, 64, 200};

// The table and the model, to which one thing after the other is done.
struct Pair {
  Pair(uint64_t max_sessions, bool fails_back)
      : table(max_sessions, kTimeouts), model(kTimeouts, fails_back) {
    table.set_failback(fails_back);
    fleet.backends.resize(kHomes.back() + 1);
    for (size_t i = 0; i < kHomes.size(); ++i)
      fleet.backends[kHomes[i]].backup = kHomes[(i + 1) % kHomes.size()];
  }

  void look(uint64_t key) {
    const SessionView is = table.find(key, now), should = model.find(key, now);
    REQUIRE(is.home == should.home);
    REQUIRE(is.booked_at == should.booked_at);
    REQUIRE(is.first_seen == should.first_seen);
    REQUIRE(is.last_seen == should.last_seen);
    REQUIRE(is.returned == should.returned);
    REQUIRE(is.choice == should.choice);
  }

  void visit(uint64_t key, bool first) {
    const auto is =
        table.find_and_touch(key, now, first ? SessionTable::Visit::first : SessionTable::Visit::retry);
    check(is, model.find_and_touch(key, now, first));
  }

  void begin(uint64_t key, Slot home, Event how, bool by_request) {
    if (how == Event::restored) {
      const auto choice = static_cast<uint16_t>(key);
      const bool doubtful = key % 3 == 0;
      check(table.restore(key, home, now, choice, true, doubtful),
            model.begin(key, home, now, how, false, choice, doubtful));
    } else {
      const auto begun = by_request ? Begun::by_request : Begun::by_answer;
      check(table.open(key, home, now, Room::none, begun), model.begin(key, home, now, how, by_request));
    }
  }

  void move(uint64_t key, Slot from, Slot to) {
    if (from == to) return;  // nobody moves a session to where it is
    REQUIRE(table.homes().reserve(to, 0));
    const auto is = table.move(key, from, to, now);
    if (!is.added) table.homes().release(to);
    check(is, model.move(key, from, to, now));
  }

  void follow(uint64_t key, Slot to) {
    const bool doubtful = key % 5 == 0;
    check(table.follow(key, to, 7, doubtful, now), model.follow(key, to, 7, doubtful, now));
  }

  void turn_back(uint64_t key) { check(table.turn_back(key, now), model.turn_back(key, now)); }

  void rehome(uint64_t key, Slot to) {
    REQUIRE(table.homes().reserve(to, 0));
    const auto is = table.rehome(key, to, now);
    if (!is.added) table.homes().release(to);
    check(is, model.rehome(key, to, now));
  }

  void answer(uint64_t key, Slot slot, Slot from, SessionTable::Word word, SessionTable::Asked asked) {
    const Slot left = model.find(key, now).booked_at;
    const bool carried = left < fleet.backends.size() && fleet.backends[left].backup == slot;
    const auto silence = static_cast<Cost::Silence>(key % 4);
    const bool nothing_to_lose = key % 7 == 0;
    const Event cost = carried ? Event::carried : Event::lost;
    table.answered(key, slot, from, now, word, asked,
                   {limpet::conf::Storage::backup, fleet, silence, nothing_to_lose});
    model.answered(key, slot, from, now, word, asked, cost, silence, nothing_to_lose);
  }

  void renew(uint64_t from, uint64_t to, Slot home) {
    REQUIRE(table.renew(from, to, home, now) == model.renew(from, to, home, now));
  }

  void unbind(uint64_t key) { REQUIRE(table.unbind(key, now) == model.end(key, Event::unbound, now)); }

  void log_out(uint64_t key, Slot slot) {
    table.log_out(key, slot, now);
    model.log_out(key, slot, now);
  }

  void serve(Slot home, bool in_service) {
    table.homes().set_in_service(home, in_service);
    model.set_in_service(home, in_service);
  }

  void sweep() {
    for (size_t i = 0; i < SessionTable::kSweeps; ++i) table.sweep(now);
    model.sweep(now);
  }

  Slot home_of(uint64_t key) {
    table.find(key, now);
    return model.find(key, now).home;
  }

  static void check(SessionTable::Found is, SessionTable::Found should) {
    REQUIRE(is.home == should.home);
    REQUIRE(is.data_home == should.data_home);
    REQUIRE(is.first_home == should.first_home);
    REQUIRE(is.choice == should.choice);
    REQUIRE(is.open_question == should.open_question);
    REQUIRE(is.ghost == should.ghost);
  }
  static void check(SessionTable::Held is, SessionTable::Held should) {
    REQUIRE(is.added == should.added);
    check(static_cast<SessionTable::Found>(is), static_cast<SessionTable::Found>(should));
  }

  void check_counts() {
    const Census census = table.census();
    REQUIRE(census.books == model.books());
    REQUIRE(census.live == model.live());
    REQUIRE(census.live_returned == model.live_returned());
    REQUIRE(census.at_risk == model.at_risk());
    REQUIRE(census.at_risk_returned == model.at_risk_returned());
    REQUIRE(census.entries == model.entries());
    REQUIRE(is_balanced(census));
    for (const Slot home : kHomes) {
      CAPTURE(home);
      const HomeCensus is = table.homes().census(home), should = model.census(home);
      REQUIRE(is.books == should.books);
      REQUIRE(is.arrived == should.arrived);
      REQUIRE(is.lost_in_service == should.lost_in_service);
      REQUIRE(is.failed_back == should.failed_back);
      REQUIRE(is.lost_by_failback == should.lost_by_failback);
      REQUIRE(is.live == should.live);
      REQUIRE(is.live_returned == should.live_returned);
      REQUIRE(is.in_service == should.in_service);
      REQUIRE(is.at_risk.live == should.at_risk.live);
      REQUIRE(is.at_risk.returned == should.at_risk.returned);
      REQUIRE(is_balanced(is));
      REQUIRE(is_balanced(is));
      REQUIRE(table.homes().load(home) == is.live + model.moving_to(home));
      REQUIRE(table.sessions_at(home).size() == model.going_to(home));
    }
  }

  SessionTable table;
  SessionModel model;
  Fleet fleet;
  uint32_t now = 1'700'000'000;
};

void do_anything(Pair& pair, Inputs& inputs) {
  const uint64_t key = mixed(inputs.below(200)), other = mixed(inputs.below(200));
  const Slot home = kHomes[inputs.below(kHomes.size())], to = kHomes[inputs.below(kHomes.size())];
  // Most operations come from somebody who knows where the session is.
  const auto supposed_home = [&] { return inputs.one_in(6) ? home : pair.home_of(key); };
  switch (inputs.below(11)) {
    case 0:
      return pair.visit(key, inputs.one_in(2));
    case 1:
      return pair.look(key);
    case 2:
      return pair.begin(key, home, Event::opened, inputs.one_in(2));
    case 3:
      return pair.begin(key, home, Event::restored, false);
    case 4:
    case 5:
      if (inputs.one_in(4)) return inputs.one_in(2) ? pair.follow(key, to) : pair.turn_back(key);
      return inputs.one_in(3) ? pair.rehome(key, to) : pair.move(key, supposed_home(), to);
    case 6: {
      const Slot from = inputs.one_in(3)   ? to
                        : inputs.one_in(3) ? kNoSlot
                                           : pair.model.find(key, pair.now).booked_at;
      return pair.answer(key, inputs.one_in(3) ? home : pair.home_of(key), from,
                         static_cast<SessionTable::Word>(inputs.one_in(8) ? 4 : inputs.below(4)),
                         static_cast<SessionTable::Asked>(inputs.below(2)));
    }
    case 7:
      return pair.renew(key, other, supposed_home());
    case 8:
      if (inputs.one_in(3)) inputs.one_in(2) ? pair.unbind(key) : pair.log_out(key, supposed_home());
      return;
    case 9:
      if (inputs.one_in(3)) pair.serve(home, inputs.one_in(2));
      return;
    case 10:
      pair.now += static_cast<uint32_t>(inputs.one_in(50) ? inputs.below(1000) : inputs.below(5));
      if (inputs.one_in(30)) pair.now -= 100;
      if (inputs.one_in(5)) pair.sweep();
      if (inputs.one_in(20)) pair.table.set_limits(inputs.one_in(2) ? 500 : 200'000, kTimeouts);
      return;
  }
}

TEST_CASE("random operations do what the plain model does, on a clock that also goes back") {
  Tally sum;
  for (const uint64_t seed : {611u, 612u, 613u, 614u}) {
    LIMPET_RANDOM_INPUTS(seed);
    Pair pair(seed % 2 ? 100'000 : 500, seed > 612);  // over many shards, or crowded in one
    for (int step = 0; step < 30000; ++step) {
      CAPTURE(step);
      do_anything(pair, inputs);
      if (step % 100 == 0) pair.check_counts();
    }
    sum += pair.model.books().all;
  }
  for (size_t event = 0; event < kEvents; ++event) {
    INFO(std::string(text(static_cast<Event>(event))));
    if (static_cast<Event>(event) != Event::evicted) CHECK(sum.counts[event] > 40);
  }
}

}  // namespace limpet::routing::session_model_test
