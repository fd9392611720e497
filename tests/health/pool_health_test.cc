#include "health/pool_health.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "tests/routing/random_inputs.h"

namespace limpet::health::pool_health_test {

using limpet::conf::HealthCheck;
using limpet::routing::Fleet;

limpet::conf::Pool pool_of(std::vector<std::string> names, uint32_t max_down_percent = 50) {
  limpet::conf::Pool pool;
  pool.idle_timeout = limpet::conf::Duration(0);  // every session is known from the start
  pool.passive.failures = 3;
  pool.passive.max_down_percent = max_down_percent;
  for (const std::string& name : names) {
    limpet::conf::Backend backend;
    backend.name = name;
    backend.health.kind = HealthCheck::Kind::tcp;
    pool.backends.push_back(backend);
  }
  return pool;
}

struct Pooled {
  static constexpr Millis kStart = 100'000;

  explicit Pooled(const limpet::conf::Pool& with)
      : pool(with), fleet(Fleet::from(with)), health(pool, fleet, kStart, 1) {}

  void request_fails(Slot slot, uint64_t client) {
    health.told(slot, {Evidence::Kind::failed, client, now, "no answer in time"}, now);
  }
  // Requests of three clients, though the question passes.
  Changed fail(Slot slot) {
    ++now;
    for (uint64_t client = 0; client < 3; ++client) request_fails(slot, client);
    return ask(slot, CheckResult::Kind::pass);
  }
  Changed ask(Slot slot, CheckResult::Kind kind, int times = 1) {
    Changed last;
    while (times-- > 0) {
      if (auto change = health.checked(slot, {kind, "it says so"}, now)) last = change;
    }
    return last;
  }
  BackendState state(Slot slot) const { return health[slot].state(); }

  Millis now = kStart;
  limpet::conf::Pool pool;
  Fleet fleet;
  PoolHealth health;
};

TEST_CASE("requests of many clients take down no more than max_down_percent while the question passes") {
  Pooled it(pool_of({"a", "b", "c", "d"}));
  CHECK(it.fail(0));
  CHECK(it.fail(1));
  CHECK(it.health.held() == 0);
  CHECK_FALSE(it.fail(2));
  CHECK(it.health.held() == 1);
  CHECK(it.state(2) == BackendState::up);
  CHECK(it.health.down_on_weak_evidence() == 2);
}

TEST_CASE("timeouts of checks alone take down no more than max_down_percent") {
  Pooled it(pool_of({"a", "b", "c", "d"}));
  for (Slot slot = 0; slot < 4; ++slot) it.ask(slot, CheckResult::Kind::pass);
  for (Slot slot = 0; slot < 4; ++slot) it.ask(slot, CheckResult::Kind::timeout, 100);
  CHECK(it.health.down_on_weak_evidence() == 2);
  CHECK(it.health.held() == 2);
  CHECK(it.state(3) == BackendState::up);
}

TEST_CASE("the first checks of a pool that Limpet does not reach in time take down no more either") {
  Pooled it(pool_of({"a", "b", "c", "d"}));
  for (Slot slot = 0; slot < 4; ++slot) it.ask(slot, CheckResult::Kind::timeout);
  CHECK(it.health.down_on_weak_evidence() == 2);
  CHECK(it.health.held() == 2);
}

TEST_CASE("what is held goes down with its next question once another one is back") {
  Pooled it(pool_of({"a", "b"}));
  CHECK(it.fail(0));
  CHECK_FALSE(it.fail(1));
  it.now += Verdict::kFirstHold;
  it.ask(0, CheckResult::Kind::pass, 2);
  CHECK(it.state(0) == BackendState::up);
  CHECK(it.fail(1));
  CHECK(it.state(1) == BackendState::down);
  CHECK(it.health.held() == 0);
}

TEST_CASE("one backend alone is never taken down on weak evidence, unless all may be") {
  Pooled half(pool_of({"a"}, 50)), all(pool_of({"a"}, 100));
  CHECK_FALSE(half.fail(0));
  CHECK(half.state(0) == BackendState::up);
  CHECK(half.health.held() == 1);
  CHECK(all.fail(0));
}

TEST_CASE("questions take down as many as fail, and what they confirm counts against the limit no more") {
  Pooled it(pool_of({"a", "b", "c"}));
  it.fail(0);
  CHECK_FALSE(it.fail(1));
  it.ask(0, CheckResult::Kind::fail, 3);
  CHECK(it.health.down_on_weak_evidence() == 0);
  CHECK(it.fail(1));
  it.ask(2, CheckResult::Kind::fail, 3);
  for (Slot slot = 0; slot < 3; ++slot) CHECK(it.state(slot) == BackendState::down);
  CHECK(it.health.down_on_weak_evidence() == 1);
}

TEST_CASE("what has left the file neither counts nor is held") {
  Pooled it(pool_of({"a", "b", "c"}));
  it.health.reconfigure(pool_of({"b", "c"}), it.fleet, it.now);
  CHECK(it.health.listed() == 2);
  CHECK(it.fail(1));
  CHECK_FALSE(it.fail(2));
  CHECK(it.fail(0));
  CHECK(it.state(0) == BackendState::down);
  CHECK(it.health.held() == 1);
  CHECK(it.health.down_on_weak_evidence() == 1);
}

TEST_CASE("the limit holds whatever happens") {
  using Kind = CheckResult::Kind;
  int lives_that_reached_it = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    LIMPET_RANDOM_INPUTS(seed);
    const auto percent = static_cast<uint32_t>(inputs.below(101));
    Pooled it(pool_of({"a", "b", "c", "d", "e"}, percent));
    const size_t most = percent * 5 / 100;
    bool reached = false, network_is_slow = false;
    for (int i = 0; i < 2000; ++i) {
      it.now += inputs.below(1000);
      const auto slot = static_cast<Slot>(inputs.below(5));
      if (inputs.one_in(100)) network_is_slow = !network_is_slow;
      switch (inputs.below(network_is_slow ? 3 : 10)) {
        case 0:
        case 1:
        case 2:
          if (inputs.one_in(network_is_slow ? 50 : 2)) {
            it.ask(slot, inputs.one_in(10) ? Kind::fail : Kind::pass);
          } else {
            it.ask(slot, Kind::timeout);
          }
          break;
        case 3:
          if (inputs.one_in(4)) it.health.answered(slot, {it.now, it.now});
          break;
        case 4:
          if (inputs.one_in(5)) it.health.order(slot, static_cast<Order>(inputs.below(4)), "ada", it.now);
          break;
        case 5:
          it.health.told(slot, {Evidence::Kind::waits, 0, it.now}, it.now);
          break;
        default:
          it.request_fails(slot, inputs.below(5));
      }
      REQUIRE(it.health.down_on_weak_evidence() <= most);
      reached = reached || it.health.down_on_weak_evidence() == most;
    }
    lives_that_reached_it += reached;
  }
  CHECK(lives_that_reached_it > 30);
}

TEST_CASE("due checks are handed out once, until their results are in") {
  Pooled it(pool_of({"a", "b"}));
  it.now += 1000;
  CHECK(it.health.take_due(it.now) == std::vector<Slot>{0, 1});
  CHECK(it.health.take_due(it.now + 60'000).empty());
  it.health.checked(1, {}, it.now);
  const std::optional<Millis> next = it.health[1].next_check();
  REQUIRE(next);
  CHECK(it.health.take_due(*next - 1).empty());
  CHECK(it.health.take_due(*next) == std::vector<Slot>{1});
}

TEST_CASE("the checks of many backends do not come in one burst, at first or later") {
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("b" + std::to_string(i));
  Pooled it(pool_of(names));
  size_t most_at_once = 0, checks = 0;
  for (const Millis end = it.now + 30'000; it.now < end; it.now += 10) {
    const auto due = it.health.take_due(it.now);
    most_at_once = std::max(most_at_once, due.size());
    checks += due.size();
    for (const Slot slot : due) it.health.checked(slot, {}, it.now);
  }
  CHECK(checks > 500);
  CHECK(most_at_once <= 8);  // one is the mean within 10 ms of the first second
}

TEST_CASE("a backend's own check and the pool's drain_timeout are the rules that it is judged by") {
  auto pool = pool_of({"a", "b"});
  pool.backends[1].health.kind = HealthCheck::Kind::none;
  pool.drain_timeout = limpet::conf::Duration(7000);
  pool.idle_timeout = limpet::conf::Duration(9000);
  Pooled it(pool);
  for (const Slot slot : {Slot{0}, Slot{1}}) it.ask(slot, CheckResult::Kind::pass);
  CHECK(it.health[0].next_check());
  CHECK_FALSE(it.health[1].next_check());
  it.health.order(1, Order::drain, "ada", it.now);
  CHECK(it.health[1].drain_deadline() == it.now + 7000);
  CHECK(it.health[1].unknown(it.now)->idle_timeout == 9000);
}

TEST_CASE("all backends of a pool have been served since its first were, also those that joined later") {
  auto pool = pool_of({"a"});
  pool.idle_timeout = limpet::conf::Duration(9000);
  Pooled it(pool);
  it.pool.backends.push_back(it.pool.backends[0]);
  it.pool.backends[1].name = "b";
  it.fleet = Fleet::from(it.pool, it.fleet);
  it.health.reconfigure(it.pool, it.fleet, it.kStart + 5000);
  it.health.order(1, Order::drain, "ada", it.kStart + 6000);
  CHECK(it.health[1].unknown(it.kStart + 6000)->served_for == 6000);
  const uint32_t sessions[] = {0, 0};
  CHECK(it.health.tick(sessions, it.kStart + 8999).empty());
  CHECK(it.health.tick(sessions, it.kStart + 9000).size() == 1);
}

TEST_CASE("a tick finishes the drains of backends without sessions, and says which") {
  Pooled it(pool_of({"a", "b", "c"}));
  it.health.order(1, Order::drain, "ada", it.now);
  it.health.order(2, Order::drain, "ada", it.now);
  const uint32_t sessions[] = {0, 0, 5};
  const auto changes = it.health.tick(sessions, it.now + Judge::kSettling);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].slot == 1);
  CHECK(changes[0].change.cause == Cause::drained);
}

TEST_CASE(
    "a reload drains what left the file, brings back what returns, begins what is new, and keeps states") {
  Pooled it(pool_of({"a", "b"}));
  it.health.order(1, Order::maintenance, "ada", it.now);
  const auto more = pool_of({"b", "c"});
  it.fleet = Fleet::from(more, it.fleet);
  const auto changes = it.health.reconfigure(more, it.fleet, it.now);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].slot == 0);
  CHECK(changes[0].change.to == BackendState::draining);
  CHECK(changes[0].change.cause == Cause::reload);
  CHECK(it.state(1) == BackendState::maintenance);
  CHECK(it.health.size() == 3);
  CHECK(it.state(2) == BackendState::up);
  const auto back = it.health.reconfigure(pool_of({"a", "b", "c"}), it.fleet, it.now);
  REQUIRE(back.size() == 1);
  CHECK(back[0].change.to == BackendState::up);
}

TEST_CASE("states and warmth go into the fleet") {
  auto pool = pool_of({"a", "b", "c"});
  pool.slow_start = limpet::conf::Duration(10'000);
  Pooled it(pool);
  it.ask(0, CheckResult::Kind::fail);
  it.ask(1, CheckResult::Kind::fail);
  it.ask(1, CheckResult::Kind::pass, 2);
  CHECK(it.health.put_into(it.fleet, it.now + 5000));
  CHECK(it.fleet.backends[0].state == BackendState::down);
  CHECK(it.fleet.backends[1].state == BackendState::up);
  CHECK(it.fleet.backends[1].warmth == 50);
  CHECK(it.fleet.backends[2].warmth == 100);
  CHECK_FALSE(it.health.put_into(it.fleet, it.now + 5000));
  CHECK(it.health.put_into(it.fleet, it.now + 10'000));
  CHECK(it.fleet.backends[1].warmth == 100);
  CHECK_FALSE(it.health.put_into(it.fleet, it.now + 60'000));
}

TEST_CASE("a backend that joins by a reload warms up, those that a pool begins with do not") {
  auto pool = pool_of({"a"});
  pool.slow_start = limpet::conf::Duration(10'000);
  Pooled it(pool);
  it.pool.backends.emplace_back().name = "b";
  it.fleet = Fleet::from(it.pool, it.fleet);
  it.health.reconfigure(it.pool, it.fleet, it.kStart + 20'000);
  CHECK(it.health[0].warmth(it.kStart + 20'000) == 100);
  CHECK(it.health[1].warmth(it.kStart + 20'000) == 1);
  CHECK(it.health[1].warmth(it.kStart + 30'000) == 100);
}

TEST_CASE(
    "a backend that takes over another one's slot has a judge of its own, which knows nothing of that") {
  Pooled it(pool_of({"a", "b"}, 100));
  it.fail(1);
  REQUIRE(it.state(1) == BackendState::down);
  it.pool.backends.pop_back();
  it.fleet = Fleet::from(it.pool, it.fleet);
  it.health.reconfigure(it.pool, it.fleet, it.kStart + 1000);
  const Slot gone[] = {1};
  it.fleet.free(gone);
  it.health.free(gone);
  it.pool.backends.push_back(it.pool.backends[0]);
  it.pool.backends[1].name = "c";
  it.fleet = Fleet::from(it.pool, it.fleet, gone);
  REQUIRE(it.fleet.find("c") == 1);
  CHECK(it.health.reconfigure(it.pool, it.fleet, it.kStart + 2000).empty());
  CHECK(it.state(1) == BackendState::up);
  CHECK(it.health[1].cause() == Cause::start);
  CHECK(it.health.listed() == 2);
  it.health.answered(1, {it.kStart, it.kStart + 1999});  // by the one before
  it.now = it.kStart + 3000;
  CHECK(it.ask(1, CheckResult::Kind::fail));  // at its first check
}

TEST_CASE(
    "a backend that comes back after its slot was freed has a new judge, though it has the slot again") {
  Pooled it(pool_of({"a", "b"}, 100));
  it.fail(0);
  REQUIRE(it.state(0) == BackendState::down);
  it.health.take_due(it.kStart + 60'000);  // a check begins that nobody will end
  const limpet::conf::Pool both = it.pool;
  it.pool.backends.erase(it.pool.backends.begin());
  it.fleet = Fleet::from(it.pool, it.fleet);
  it.health.reconfigure(it.pool, it.fleet, it.kStart + 61'000);
  const Slot gone[] = {0};
  it.fleet.free(gone);
  it.health.free(gone);
  const uint32_t sessions[] = {0, 0};
  CHECK(it.health.tick(sessions, it.kStart + 62'000).empty());
  CHECK(it.health.take_due(it.kStart + 120'000) == std::vector<Slot>{});
  it.fleet = Fleet::from(both, it.fleet, gone);
  REQUIRE(it.fleet.find("a") == 0);
  it.health.reconfigure(both, it.fleet, it.kStart + 121'000);
  CHECK(it.state(0) == BackendState::up);
  CHECK(it.health.take_due(it.kStart + 200'000) ==
        std::vector<Slot>{0});  // that of the other has not ended yet
}

TEST_CASE("the backends of a pool that left the file drain, and are over when they are empty") {
  Pooled it(pool_of({"a", "b"}));
  const auto changes = it.health.remove_all(it.kStart + 1000);
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].change.to == BackendState::draining);
  CHECK(changes[0].change.cause == Cause::reload);
  CHECK(it.health.remove_all(it.kStart + 1500).empty());
  const uint32_t sessions[] = {0, 1};
  it.health.tick(sessions, it.kStart + 3000);
  CHECK(it.state(0) == BackendState::maintenance);
  CHECK(it.state(1) == BackendState::draining);
  CHECK(it.health.listed() == 0);
}

}  // namespace limpet::health::pool_health_test
