#include "routing/rates.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "routing/hash.h"
#include "tests/routing/clients.h"

namespace limpet::routing::rates_test {

using Kind = conf::AffinityKind;
using test::pool_of;
using test::Said;
using test::Stage;

constexpr uint64_t kNow = 1'000'000'000'000;  // microseconds
constexpr uint64_t kSecond = 1'000'000;
constexpr uint64_t kAnn = mixed(1);

// Clients that meet in one set.
constexpr uint64_t meeting(uint64_t number) { return (number + 1) << 40 | 4711; }

// A bucket by its definition: it holds a burst, each takes one out, and one comes back in each interval.
class Bucket {
 public:
  explicit Bucket(const Rate& rate) : rate_(rate), microseconds_(rate.bucket_us) {}

  uint64_t take(uint64_t now_us) {
    if (last_ != 0) microseconds_ = std::min(rate_.bucket_us, microseconds_ + now_us - last_);
    last_ = now_us;
    if (microseconds_ < rate_.interval_us) return rate_.interval_us - microseconds_;
    microseconds_ -= rate_.interval_us;
    return 0;
  }
  void empty() { microseconds_ = 0; }

 private:
  const Rate rate_;
  uint64_t microseconds_, last_ = 0;
};

// --- The bucket ---

TEST_CASE("a burst is let through, then one for each that comes back") {
  Rates rates;
  const Rate rate = Rate::of(10, 3);
  for (int i = 0; i < 3; ++i) CHECK(rates.take(kAnn, kNow, rate) == 0);
  CHECK(rates.take(kAnn, kNow, rate) == kSecond / 10);
  CHECK(rates.take(kAnn, kNow + kSecond / 10 - 1, rate) == 1);
  CHECK(rates.take(kAnn, kNow + kSecond / 10, rate) == 0);
  CHECK(rates.take(kAnn, kNow + kSecond / 10, rate) == kSecond / 10);
  for (int i = 0; i < 3; ++i) CHECK(rates.take(kAnn, kNow + kSecond, rate) == 0);
  CHECK(rates.take(kAnn, kNow + kSecond, rate) != 0);
}

TEST_CASE("of any clients, each is treated as by a bucket of its own") {
  std::mt19937_64 random(20'260'612);
  for (int round = 0; round < 300; ++round) {
    Rates rates;
    const Rate rate =
        Rate::of(static_cast<uint32_t>(1 + random() % 200), static_cast<uint32_t>(1 + random() % 20));
    const size_t clients = 1 + random() % Rates::kWays;  // who may all meet in a set
    const bool meet = random() % 2 == 0;
    std::vector<Bucket> buckets(clients, Bucket(rate));
    uint64_t now = kNow + random() % (kSecond << 22);
    for (int i = 0; i < 300; ++i) {
      now += random() % 4 == 0 ? random() % (3 * rate.bucket_us) : random() % (rate.interval_us + 1);
      const size_t client = random() % clients;
      CHECK(rates.take(meet ? meeting(client) : mixed(client + 1), now, rate) == buckets[client].take(now));
    }
  }
}

TEST_CASE("between any two that were let through are no more than a burst and what came back meanwhile") {
  std::mt19937_64 random(20'260'613);
  for (int round = 0; round < 100; ++round) {
    Rates rates;
    const Rate rate =
        Rate::of(static_cast<uint32_t>(1 + random() % 1000), static_cast<uint32_t>(1 + random() % 20));
    std::vector<uint64_t> passed;
    for (uint64_t now = kNow; passed.size() < 150; now += random() % (rate.interval_us + 1))
      if (rates.take(kAnn, now, rate) == 0) passed.push_back(now);
    const uint64_t burst = rate.bucket_us / rate.interval_us;
    bool is_within = true;
    for (size_t i = 0; i < passed.size(); ++i) {
      for (size_t j = i; j < passed.size(); ++j)
        is_within = is_within && j - i + 1 <= burst + (passed[j] - passed[i]) / rate.interval_us;
    }
    CHECK(is_within);
  }
}

TEST_CASE("whoever comes no more often than the rate is never refused, at any rate") {
  std::mt19937_64 random(20'260'614);
  for (const uint32_t per_second : {1u, 3u, 7u, 300u, 999u, 7'000u, 10'000u}) {
    Rates rates;
    uint64_t now = kNow;
    for (uint64_t i = 0; i < 1000; ++i) {
      CHECK(rates.take(kAnn, now, Rate::of(per_second, 1)) == 0);
      now += (kSecond + per_second - 1) / per_second + random() % 3;
    }
  }
}

TEST_CASE("whoever is told to wait is let through after just so long") {
  std::mt19937_64 random(20'260'615);
  Rates rates;
  const Rate rate = Rate::of(20, 5);
  uint64_t now = kNow;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t wait = rates.take(kAnn, now, rate);
    if (wait > 1) CHECK(rates.take(kAnn, now + wait - 1, rate) == 1);
    if (wait != 0) CHECK(rates.take(kAnn, now + wait, rate) == 0);
    now += wait + random() % rate.interval_us;
  }
}

TEST_CASE("a thread whose clock is behind lets nobody through for that") {
  Rates rates;
  const Rate rate = Rate::of(10, 3);
  for (int i = 0; i < 3; ++i) rates.take(kAnn, kNow, rate);
  for (const uint64_t behind : {1u, 1'000u, 900'000u}) CHECK(rates.take(kAnn, kNow - behind, rate) != 0);
}

TEST_CASE("threads whose clocks differ let through no more than a burst and what came back") {
  std::mt19937_64 random(20'260'616);
  for (int round = 0; round < 100; ++round) {
    Rates rates;
    const Rate rate =
        Rate::of(static_cast<uint32_t>(1 + random() % 1000), static_cast<uint32_t>(1 + random() % 20));
    const uint64_t skew = 1 + random() % (kSecond - 1), burst = rate.bucket_us / rate.interval_us;
    struct Passed {
      uint64_t at, told;  // the thread's clock said
    };
    std::vector<Passed> passed;
    for (uint64_t now = kNow; passed.size() < 100; now += random() % (2 * rate.interval_us + 1)) {
      const uint64_t told = now - random() % skew;
      if (rates.take(kAnn, told, rate) == 0) passed.push_back({now, told});
    }
    bool is_within = true;
    for (size_t i = 0; i < passed.size(); ++i) {
      for (size_t j = i; j < passed.size(); ++j)
        is_within = is_within && j - i + 1 <= burst + (passed[j].at - passed[i].told) / rate.interval_us;
    }
    CHECK(is_within);
  }
}

TEST_CASE(
    "after any pause, of the client or of the process, there is what came back meanwhile, a burst at most") {
  std::mt19937_64 random(20'260'617);
  constexpr uint64_t kRound = uint64_t{1} << 40;  // when times come again, and one that is old may look new
  for (int round = 0; round < 300; ++round) {
    Rates rates;
    const Rate rate =
        Rate::of(static_cast<uint32_t>(1 + random() % 1000), static_cast<uint32_t>(1 + random() % 20));
    Bucket bucket(rate);
    uint64_t now = kNow + random() % kRound;
    for (int i = 0; i < 50; ++i) {
      for (uint64_t asked = random() % 30; asked > 0; --asked)
        CHECK(rates.take(kAnn, now, rate) == bucket.take(now));
      const uint64_t pause = random() % (uint64_t{1} << random() % 45);
      const uint64_t near = 2 * (rate.bucket_us + kSecond), into_round = pause % kRound;
      const bool comes_again = pause > near && (into_round < near || into_round > kRound - near);
      now += comes_again ? near : pause;
    }
  }
}

TEST_CASE("it goes on where times go round") {
  Rates rates;
  const Rate rate = Rate::of(10, 3);
  const uint64_t round = uint64_t{1} << 40;
  for (int i = 0; i < 3; ++i) CHECK(rates.take(kAnn, round - 1, rate) == 0);
  CHECK(rates.take(kAnn, round + 1, rate) != 0);
  CHECK(rates.take(kAnn, round + kSecond / 10, rate) == 0);
}

TEST_CASE("another rate holds from the next on") {
  Rates rates;
  for (int i = 0; i < 100; ++i) CHECK(rates.take(kAnn, kNow, Rate::of(10, 100)) == 0);
  CHECK(rates.take(kAnn, kNow, Rate::of(10, 100)) != 0);
  CHECK(rates.take(kAnn, kNow, Rate::of(10, 101)) == 0);
  // Ten seconds ahead: nobody waits for that where no burst lasts so long.
  CHECK(rates.take(kAnn, kNow, Rate::of(10, 2)) == 0);
  CHECK(rates.take(kAnn, kNow, Rate::of(10, 2)) == 0);
  CHECK(rates.take(kAnn, kNow, Rate::of(10, 2)) == kSecond / 10);
}

// --- The table ---

TEST_CASE(
    "of any number of clients nobody is refused for another, and who comes too often is not forgotten") {
  Rates rates;
  const Rate rate = Rate::of(1, 10);
  for (int i = 0; i < 10; ++i) rates.take(kAnn, kNow, rate);
  for (uint64_t client = 0; client < 500'000; ++client) {
    const bool is_let_in = rates.take(mixed(client + 100), kNow + client / 1000, rate) == 0;
    if (!is_let_in) FAIL("client ", client);
  }
  CHECK(rates.take(kAnn, kNow + 500, rate) != 0);
}

TEST_CASE("of clients that crowd each other out none is refused whom a bucket of its own would let through") {
  std::mt19937_64 random(20'260'618);
  uint64_t anew = 0;
  for (int round = 0; round < 100; ++round) {
    Rates rates;
    const Rate rate =
        Rate::of(static_cast<uint32_t>(1 + random() % 200), static_cast<uint32_t>(1 + random() % 20));
    const size_t clients = Rates::kWays + 1 + random() % 30;
    std::vector<Bucket> buckets(clients, Bucket(rate));
    uint64_t now = kNow;
    for (int i = 0; i < 1000; ++i) {
      now += random() % (rate.interval_us / 4 + 1);
      const size_t client = random() % clients;
      const bool passes = rates.take(meeting(client), now, rate) == 0;
      const bool would_pass = buckets[client].take(now) == 0;
      CHECK((passes || !would_pass));
      if (!passes || would_pass) continue;
      buckets[client].empty();  // it has begun anew, and has spent what this one has not got
      ++anew;
    }
  }
  CHECK(anew > 0);
}

TEST_CASE("of 40,000 that have asked as often as they may one in thirty begins anew, of 10,000 hardly any") {
  const Rate rate = Rate::of(1, 2);
  for (const auto& [clients, most] : {std::pair{10'000u, 2u}, {40'000u, 40'000u / 25}}) {
    Rates rates;
    uint32_t anew = 0;
    for (uint64_t client = 0; client < clients; ++client) {
      for (int i = 0; i < 2; ++i) CHECK(rates.take(mixed(client), kNow, rate) == 0);
    }
    for (uint64_t client = 0; client < clients; ++client) anew += rates.take(mixed(client), kNow, rate) == 0;
    CHECK(anew <= most);
  }
}

TEST_CASE("no more than a burst is let through, however many threads ask, and whoever else comes") {
  for (int round = 0; round < 20; ++round) {
    Rates rates;
    const Rate rate = Rate::of(1, 50);
    std::atomic<uint32_t> passed{0};
    std::vector<std::thread> threads;
    for (uint64_t thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        for (uint64_t i = 0; i < 40; ++i) {
          passed += rates.take(kAnn, kNow, rate) == 0;
          rates.take(mixed(1000 + thread * 40 + i), kNow, rate);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(passed == 50);
  }
}

// --- In a pool ---

conf::Pool limited(std::vector<Kind> affinity, conf::RateBy by) {
  conf::Pool pool = pool_of(2, std::move(affinity));
  pool.rate = {.requests = 1, .burst = 2, .by = by};
  return pool;
}

bool passes(Stage& stage, const Said& said) {
  const Stage::Fields fields(said);
  const uint64_t now_us = kNow + said.at * kSecond;
  return stage.router.take_turn(stage.identify(said), fields.request.client, said.now(), now_us) == 0;
}

// How many of five in a row.
int passed(Stage& stage, const Said& said) {
  int count = 0;
  for (int i = 0; i < 5; ++i) count += passes(stage, said) ? 1 : 0;
  return count;
}

TEST_CASE("without a rate everybody is let through, and no table is kept") {
  Stage stage(pool_of(2, {Kind::ip}));
  CHECK(passed(stage, {}) == 5);
  CHECK(stage.memory().rates == nullptr);
}

TEST_CASE("a client is its address, of IPv6 the /64, whatever the affinity makes of it") {
  conf::Pool pool = limited({Kind::ip}, conf::RateBy::client);
  SUBCASE("networks are sessions") { pool.ip = {.mask_v4 = 8, .mask_v6 = 16}; }
  SUBCASE("each address is a session") { pool.ip = {.mask_v4 = 32, .mask_v6 = 128}; }
  SUBCASE("each is counted for its session") {
    pool.rate.by = conf::RateBy::session;
    pool.ip = {.mask_v4 = 8, .mask_v6 = 128};
  }
  Stage stage(pool);
  CHECK(passed(stage, {.client = "192.0.2.1"}) == 2);
  CHECK(passed(stage, {.client = "192.0.2.2"}) == 2);
  CHECK(passed(stage, {.client = "2001:db8::1"}) == 2);
  CHECK(passed(stage, {.client = "2001:db8::2"}) == 0);
  CHECK(passed(stage, {.client = "2001:db8:0:1::1"}) == 2);
  CHECK(passed(stage, {.client = ""}) == 5);
}

TEST_CASE("by session, each has a bucket of its own, and an id that is nobody's is no session") {
  Stage stage(limited({Kind::session_id}, conf::RateBy::session));
  for (const char* id : {"ann", "bob"}) stage.send({.sets = std::string("JSESSIONID=") + id});
  CHECK(passed(stage, {.cookie = "JSESSIONID=ann"}) == 2);
  CHECK(passed(stage, {.cookie = "JSESSIONID=bob"}) == 2);
  CHECK(passed(stage, {.cookie = "JSESSIONID=made-up-1"}) == 2);
  CHECK(passed(stage, {.cookie = "JSESSIONID=made-up-2"}) == 0);
  CHECK(passed(stage, {}) == 0);
  CHECK(passed(stage, {.client = "192.0.2.77"}) == 2);
}

TEST_CASE("by session, a token of our own is one, and one that is not is none") {
  Stage stage(limited({Kind::cookie}, conf::RateBy::session));
  const std::string ann = Stage::cookie(stage.send({})), bob = Stage::cookie(stage.send({}));
  CHECK(passed(stage, {.cookie = ann}) == 2);
  CHECK(passed(stage, {.cookie = bob}) == 2);
  CHECK(passed(stage, {.cookie = "limpet_shop=made-up"}) == 2);
  CHECK(passed(stage, {}) == 0);
}

TEST_CASE("by client, a session is its client's") {
  Stage stage(limited({Kind::session_id}, conf::RateBy::client));
  for (const char* id : {"ann", "bob"}) stage.send({.sets = std::string("JSESSIONID=") + id});
  CHECK(passed(stage, {.cookie = "JSESSIONID=ann"}) == 2);
  CHECK(passed(stage, {.cookie = "JSESSIONID=bob"}) == 0);
}

TEST_CASE("where no burst is said it is what comes in a second") {
  conf::Pool pool = limited({Kind::ip}, conf::RateBy::client);
  pool.rate = {.requests = 4};
  Stage stage(pool);
  CHECK(passed(stage, {}) == 4);
}

TEST_CASE("a reload keeps what was counted, changes the rate, and ends it") {
  const conf::Pool pool = limited({Kind::ip}, conf::RateBy::client);
  Stage stage(pool);
  CHECK(passed(stage, {}) == 2);
  const auto later = [&](conf::Pool settings) {
    Router router(settings, {std::string(32, 'k')}, std::string(32, 's'), stage.router.memory());
    const Said said;
    const Stage::Fields fields(said);
    return router.take_turn(stage.identify(said), fields.request.client, said.now(), kNow) == 0;
  };
  CHECK_FALSE(later(pool));
  conf::Pool more = pool;
  more.rate.burst = 3;
  CHECK(later(more));
  CHECK_FALSE(later(more));
  more.rate = {};
  CHECK(later(more));
  CHECK(stage.memory().rates == nullptr);
  CHECK(passed(stage, {}) == 0);  // whoever goes by the old settings still
}

}  // namespace limpet::routing::rates_test
