#include "src/net/deadlines.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "tests/routing/random_inputs.h"

namespace limpet::net::deadlines_test {

// A clock that stands still, and what it was last told to wake for.
struct TestAlarm final : Deadlines::Alarm {
  Millis time = 0;
  Millis wake = kNever;
  Millis now() const override { return time; }
  void wake_at(Millis due) override { wake = due; }
};

struct Waiter final : DeadlineOwner {
  explicit Waiter(Deadlines& wheel) : deadline(wheel, *this) {}
  void on_deadline() override {
    ++fired;
    CHECK_FALSE(deadline.is_set());
    if (then) then();
  }
  Deadline deadline;
  int fired = 0;
  std::function<void()> then;
};

struct Wheel {
  TestAlarm alarm;
  Deadlines wheel{alarm};

  // Goes on to `time` as a loop does: whenever the alarm is due it advances, a little late at times.
  template <typename Late>
  void go_to(Millis time, Late&& late) {
    while (alarm.wake <= time) {
      alarm.time = std::max(alarm.time, alarm.wake) + late();
      alarm.wake = kNever;
      wheel.advance();
    }
    alarm.time = std::max(alarm.time, time);
  }
  void go_to(Millis time) {
    go_to(time, [] { return Millis{0}; });
  }
};

TEST_CASE("against a list of times nothing fires early, later than a tick, twice, or once it was cleared") {
  LIMPET_RANDOM_INPUTS(501);
  constexpr size_t kWaiters = 60;
  constexpr Millis kRanges[] = {3, 40, 1000, 9000, 100'000};  // a lap is 8 s
  for (int round = 0; round < 20; ++round) {
    Wheel at;
    at.alarm.time = round == 0 ? 0 : inputs.below(1'000'000'000);
    std::vector<std::unique_ptr<Waiter>> waiters(kWaiters);
    struct Expected {
      Millis due = kNever;
      Millis set_at = 0;
      int fired = 0;
    };
    std::vector<Expected> expected(kWaiters);
    for (auto& waiter : waiters) waiter = std::make_unique<Waiter>(at.wheel);

    // After each step: what fired was due, and what was due long enough has fired.
    const auto compare = [&]() -> std::string_view {
      for (size_t i = 0; i < kWaiters; ++i) {
        Expected& model = expected[i];
        const Waiter& waiter = *waiters[i];
        if (waiter.fired != model.fired) {
          if (waiter.fired != model.fired + 1) return "fired twice";
          if (model.due > at.alarm.time) return "fired early, or after it was cleared";
          model.fired = waiter.fired;
          model.due = kNever;
        }
        if (waiter.deadline.is_set() != (model.due != kNever)) return "set or not";
        if (model.due == kNever) continue;
        const Millis latest = std::max(model.due, model.set_at) + Deadlines::kTick;
        if (at.alarm.time >= latest) return "fired late";
        if (at.alarm.wake > latest) return "nobody would wake in time";
      }
      return "";
    };

    for (int step = 0; step < 2000; ++step) {
      const size_t i = inputs.below(kWaiters);
      switch (inputs.below(8)) {
        case 0:
          waiters[i]->deadline.clear();
          expected[i].due = kNever;
          break;
        case 1:  // another takes its place
          waiters[i] = std::make_unique<Waiter>(at.wheel);
          expected[i] = {};
          break;
        case 2:
        case 3:
          at.go_to(at.alarm.time + inputs.below(kRanges[inputs.below(5)]));
          break;
        default: {
          const Millis due = at.alarm.time + inputs.below(kRanges[inputs.below(5)]);
          waiters[i]->deadline.set(due);
          expected[i].due = due;
          expected[i].set_at = at.alarm.time;
        }
      }
      REQUIRE(compare() == "");
    }
  }
}

TEST_CASE("a loop that is late fires what is due then, and nothing else") {
  LIMPET_RANDOM_INPUTS(502);
  for (int round = 0; round < 300; ++round) {
    Wheel at;
    at.alarm.time = inputs.below(1'000'000);
    const Millis start = at.alarm.time;
    std::vector<std::unique_ptr<Waiter>> waiters;
    std::vector<Millis> due;
    for (int i = 0; i < 30; ++i) {
      due.push_back(start + inputs.below(30'000));
      waiters.push_back(std::make_unique<Waiter>(at.wheel));
      waiters.back()->deadline.set(due.back());
    }
    while (at.alarm.time < start + 40'000) {
      at.alarm.time += 1 + inputs.below(12'000);  // more than a lap at times
      at.wheel.advance();
      for (size_t i = 0; i < waiters.size(); ++i) {
        if (due[i] > at.alarm.time) CHECK(waiters[i]->fired == 0);
        if (due[i] + Deadlines::kTick <= at.alarm.time) CHECK(waiters[i]->fired == 1);
      }
    }
  }
}

TEST_CASE("an owner may set itself again when it fires, and is not fired again at once") {
  Wheel at;
  Waiter waiter(at.wheel);
  waiter.then = [&] { waiter.deadline.set(at.alarm.time + 100); };
  waiter.deadline.set(100);
  at.go_to(1000);
  CHECK(waiter.fired >= 8);
  CHECK(waiter.fired <= 10);
  waiter.then = [&] { waiter.deadline.set(at.alarm.time); };
  const int before = waiter.fired;
  at.go_to(at.alarm.time + 10 * Deadlines::kTick);
  CHECK(waiter.fired - before <= 11);
}

TEST_CASE("an owner may clear and destroy others that are due with it") {
  for (const bool destroys : {false, true}) {
    Wheel at;
    std::vector<std::unique_ptr<Waiter>> waiters;
    int fired = 0;
    for (int i = 0; i < 3; ++i) {
      waiters.push_back(std::make_unique<Waiter>(at.wheel));
      waiters.back()->deadline.set(100);
    }
    for (auto& waiter : waiters) {
      waiter->then = [&waiters, &fired, destroys, self = waiter.get()] {
        ++fired;
        for (auto& other : waiters) {
          if (other.get() == self) continue;
          if (destroys) {
            other.reset();
          } else {
            other->deadline.clear();
          }
        }
      };
    }
    at.go_to(1000);
    CHECK(fired == 1);
  }
}

TEST_CASE("an owner may be destroyed by its own deadline") {
  Wheel at;
  auto waiter = std::make_unique<Waiter>(at.wheel);
  waiter->then = [&] { waiter.reset(); };
  waiter->deadline.set(100);
  at.go_to(1000);
  CHECK(waiter == nullptr);
  CHECK(at.alarm.wake == kNever);
}

TEST_CASE("nothing is woken for when nothing is set") {
  Wheel at;
  CHECK(at.wheel.next_due() == kNever);
  Waiter waiter(at.wheel);
  waiter.deadline.set(5000);
  CHECK(at.wheel.next_due() == 5008);
  waiter.deadline.clear();
  at.go_to(20'000);
  CHECK(waiter.fired == 0);
  CHECK(at.wheel.next_due() == kNever);
}

TEST_CASE("one that is set where none was for long wakes nobody before it is due") {
  Wheel at;
  for (const Millis time :
       {Millis{1'000'000}, Millis{2'000'000}}) {  // never any before; none since the first
    at.go_to(time);
    Waiter waiter(at.wheel);
    waiter.deadline.set(time + 5000);
    CHECK(at.alarm.wake >= time + 5000);
    at.go_to(time + 5000 + Deadlines::kTick);
    CHECK(waiter.fired == 1);
  }
}

TEST_CASE("setting a deadline later asks for nothing; setting it earlier does") {
  Wheel at;
  Waiter waiter(at.wheel);
  waiter.deadline.set(1000);
  const Millis first = at.alarm.wake;
  waiter.deadline.set(2000);
  CHECK(at.alarm.wake == first);
  waiter.deadline.set(500);
  CHECK(at.alarm.wake < first);
  at.go_to(499);
  CHECK(waiter.fired == 0);
  at.go_to(500 + Deadlines::kTick);
  CHECK(waiter.fired == 1);
}

}  // namespace limpet::net::deadlines_test
