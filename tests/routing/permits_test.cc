// Places at backends that serve so many requests at once at most.
#include "routing/permits.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <thread>

#include "routing/random.h"

namespace limpet::routing::permits_test {

// A thread's ear. What was called is kept in its order.
struct Ear final : Waiting::Listener {
  void on_called(WaitingPtr waiting) override {
    const std::lock_guard lock(mutex);
    called.push_back(std::move(waiting));
  }
  WaitingPtr next() {
    const std::lock_guard lock(mutex);
    if (called.empty()) return nullptr;
    WaitingPtr first = std::move(called.front());
    called.pop_front();
    return first;
  }
  std::mutex mutex;
  std::deque<WaitingPtr> called;
};

Fleet fleet_of(std::initializer_list<uint32_t> most) {
  Fleet fleet;
  for (const uint32_t one : most) {
    Backend backend;
    backend.name = "app-" + std::to_string(fleet.backends.size());
    backend.weight = 1;
    backend.max_connections = one;
    fleet.backends.push_back(backend);
  }
  return fleet;
}

struct Stage {
  explicit Stage(std::initializer_list<uint32_t> most) : fleet(fleet_of(most)) { permits->follow(fleet); }

  ~Stage() { ear->called.clear(); }  // which know their listener

  WaitingPtr wait(Slot slot, uint64_t now = 1) { return permits->wait(slot, now, ear, &owner); }
  Permit called() {
    const WaitingPtr waiting = ear->next();
    return waiting != nullptr ? permits->end(*waiting) : Permit();
  }

  Fleet fleet;
  std::shared_ptr<Permits> permits = std::make_shared<Permits>();
  std::shared_ptr<Ear> ear = std::make_shared<Ear>();
  int owner = 0;
};

TEST_CASE("where there is no limit everybody has a place, and nothing is counted") {
  Stage stage({0});
  std::vector<Permit> held(100);
  for (Permit& permit : held) {
    CHECK(stage.permits->take(0, permit));
    CHECK_FALSE(permit);
  }
  CHECK(stage.permits->taken(0) == 0);
  CHECK(stage.permits->has_free(0));
}

TEST_CASE("there are as many places as the limit says, at each backend for itself") {
  Stage stage({2, 1});
  Permit one, two, three, other;
  CHECK((stage.permits->take(0, one) && stage.permits->take(0, two)));
  CHECK_FALSE(stage.permits->take(0, three));
  CHECK_FALSE(stage.permits->has_free(0));
  CHECK(stage.permits->take(1, other));
  one.give_back();
  CHECK(stage.permits->take(0, three));
  CHECK(stage.permits->taken(0) == 2);
}

TEST_CASE("a place that comes free goes to who has waited longest, and nobody overtakes") {
  Stage stage({1});
  Permit held, late;
  REQUIRE(stage.permits->take(0, held));
  const WaitingPtr first = stage.wait(0), second = stage.wait(0);
  CHECK(stage.ear->called.empty());
  held.give_back();
  REQUIRE(stage.ear->called.size() == 1);
  CHECK(stage.ear->called.front() == first);
  CHECK_FALSE(stage.permits->take(0, late));
  Permit given = stage.called();
  CHECK(given);
  given.give_back();
  CHECK(stage.ear->called.front() == second);
}

TEST_CASE("who waits no more is passed over, and a place that it was given meanwhile goes on") {
  Stage stage({1});
  Permit held;
  REQUIRE(stage.permits->take(0, held));
  const WaitingPtr first = stage.wait(0), second = stage.wait(0), third = stage.wait(0);
  CHECK_FALSE(stage.permits->end(*first));
  CHECK(stage.permits->waiting(0) == 2);
  held.give_back();
  CHECK(stage.ear->called.back() == second);
  stage.permits->end(*second).give_back();
  CHECK(second->owner() == nullptr);
  CHECK(stage.ear->called.back() == third);
}

TEST_CASE("a limit that is raised, or taken away, lets in who waits") {
  Stage stage({1, 1});
  Permit here, there;
  REQUIRE((stage.permits->take(0, here) && stage.permits->take(1, there)));
  for (int i = 0; i < 3; ++i) stage.wait(0);
  stage.wait(1);
  stage.permits->follow(fleet_of({3, 0}));
  CHECK(stage.ear->called.size() == 3);
  const Permit one = stage.called(), two = stage.called();
  CHECK((one && two));
  CHECK_FALSE(stage.called());  // where there is no limit, no place has to be held
  CHECK(stage.permits->waiting(0) == 1);
}

TEST_CASE("a limit that is lowered holds for those who come, and cuts nobody") {
  Stage stage({3});
  std::vector<Permit> held(3);
  for (Permit& permit : held) REQUIRE(stage.permits->take(0, permit));
  stage.permits->follow(fleet_of({1}));
  stage.wait(0);
  held[0].give_back();
  held[1].give_back();
  CHECK(stage.ear->called.empty());
  held[2].give_back();
  CHECK(stage.called());
}

TEST_CASE("whoever waits at a backend that goes out of service is called without a place") {
  Stage stage({1});
  Permit held;
  REQUIRE(stage.permits->take(0, held));
  stage.wait(0);
  stage.fleet.backends[0].state = BackendState::draining;
  stage.permits->follow(stage.fleet);
  CHECK(stage.ear->called.empty());
  stage.fleet.backends[0].state = BackendState::down;
  stage.permits->follow(stage.fleet);
  REQUIRE(stage.ear->called.size() == 1);
  CHECK_FALSE(stage.called());
  stage.wait(0);
  CHECK(stage.ear->called.size() == 1);
}

TEST_CASE("the longest wait is that of those who wait now") {
  Stage stage({1, 1});
  Permit here, there;
  REQUIRE((stage.permits->take(0, here) && stage.permits->take(1, there)));
  CHECK(stage.permits->longest_wait(100) == 0);
  const WaitingPtr first = stage.wait(0, 100);
  stage.wait(1, 150);
  CHECK(stage.permits->longest_wait(400) == 300);
  stage.permits->end(*first);
  CHECK(stage.permits->longest_wait(400) == 250);
  there.give_back();
  CHECK(stage.permits->longest_wait(400) == 0);
}

TEST_CASE("a permit that is moved, assigned and destroyed is given back once") {
  Stage stage({2});
  {
    Permit one, two;
    REQUIRE((stage.permits->take(0, one) && stage.permits->take(0, two)));
    Permit moved(std::move(one));
    CHECK_FALSE(one);
    moved = std::move(two);
    CHECK(stage.permits->taken(0) == 1);
  }
  CHECK(stage.permits->taken(0) == 0);
}

// What a queue does by a model: never more under way than the limit says, nobody waits while a place is free,
// and places are given in the order in which they were asked for.
TEST_CASE("whatever happens, places are held by as many as there are, and given in order") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    Stage stage({static_cast<uint32_t>(1 + random.below(4)), static_cast<uint32_t>(random.below(3))});
    std::vector<Permit> held[2];
    std::deque<WaitingPtr> waiting[2];
    for (int step = 0; step < 200; ++step) {
      const auto slot = static_cast<Slot>(random.below(2));
      const uint32_t most = stage.fleet.backends[slot].max_connections;
      switch (random.below(5)) {
        case 0:
        case 1: {
          Permit permit;
          const bool is_taken = stage.permits->take(slot, permit);
          CHECK(is_taken == (most == 0 || (waiting[slot].empty() && held[slot].size() < most)));
          if (permit) held[slot].push_back(std::move(permit));
          if (!is_taken) waiting[slot].push_back(stage.wait(slot));
          break;
        }
        case 2:
          if (!held[slot].empty()) {
            std::swap(held[slot][random.below(held[slot].size())], held[slot].back());
            held[slot].pop_back();
          }
          break;
        case 3:
          if (!waiting[slot].empty()) {
            const auto one =
                waiting[slot].begin() + static_cast<ptrdiff_t>(random.below(waiting[slot].size()));
            stage.permits->end(**one);
            waiting[slot].erase(one);
          }
          break;
        default:
          stage.fleet.backends[slot].max_connections = static_cast<uint32_t>(random.below(5));
          stage.permits->follow(stage.fleet);
      }
      while (const WaitingPtr called = stage.ear->next()) {
        if (called->owner() == nullptr) continue;
        const Slot at = !waiting[0].empty() && waiting[0].front() == called ? 0 : 1;
        REQUIRE(!waiting[at].empty());
        REQUIRE(waiting[at].front() == called);
        waiting[at].pop_front();
        if (Permit permit = stage.permits->end(*called)) held[at].push_back(std::move(permit));
      }
      for (const Slot at : {Slot{0}, Slot{1}}) {
        const uint32_t limit = stage.fleet.backends[at].max_connections;
        CHECK(stage.permits->taken(at) == held[at].size());
        CHECK(stage.permits->waiting(at) == waiting[at].size());
        if (!waiting[at].empty()) CHECK((limit != 0 && held[at].size() >= limit));
      }
    }
  }
}

// Nobody is forgotten, whatever overlaps what: each thread takes, waits, gives up and gives back.
TEST_CASE("threads that share places never hold more than there are, and each gets on") {
  constexpr uint32_t kMost = 3;
  Stage stage({kMost});
  std::atomic<int> under_way{0}, most{0};
  const auto work = [&](uint64_t seed, const std::shared_ptr<Ear>& ear) {
    Random random(seed);
    for (int i = 0; i < 3000; ++i) {
      Permit permit;
      if (!stage.permits->take(0, permit)) {
        const WaitingPtr waiting = stage.permits->wait(0, 1, ear, &random);
        if (random.below(8) == 0) {
          permit = stage.permits->end(*waiting);
        } else {
          while (ear->next() != waiting) std::this_thread::yield();
          permit = stage.permits->end(*waiting);
          CHECK(permit);
        }
      }
      if (!permit) continue;
      const int now = ++under_way;
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      --under_way;
    }
  };
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<Ear>> ears;
  for (uint64_t i = 1; i <= 4; ++i) threads.emplace_back(work, i, ears.emplace_back(std::make_shared<Ear>()));
  for (std::thread& thread : threads) thread.join();
  for (const auto& ear : ears) ear->called.clear();  // who gave up while being called
  CHECK(most <= static_cast<int>(kMost));
  CHECK(stage.permits->taken(0) == 0);
  CHECK(stage.permits->waiting(0) == 0);
}

}  // namespace limpet::routing::permits_test
