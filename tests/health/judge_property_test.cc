// Random sequences of everything that can happen to a judge, held against a plain model.

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/health/judge_model.h"
#include "tests/health/judged.h"
#include "tests/routing/random_inputs.h"

namespace limpet::health::judge_property_test {

using limpet::health::test::Judged;
using limpet::health::test::JudgeModel;
using limpet::health::test::short_rules;
using Fact = JudgeModel::Fact;

// One judge and its model through the same random life.
class Life {
 public:
  Life(Rules rules, limpet::routing::test::Inputs& inputs) : it_(rules), model_(rules), inputs_(inputs) {}

  void step() {
    // Long stretches of good and of bad luck, or nothing would ever rise and fall.
    if (inputs_.one_in(30)) luck_ = inputs_.below(11);
    it_.now += inputs_.one_in(200) ? inputs_.below(90'000) : inputs_.below(1500);
    const BackendState before = it_.state();
    const Changed change = act();
    CHECK(it_.state() == model_.state());
    CHECK(change.has_value() == (before != it_.state()));
    if (change) {
      ++changes;
      CHECK(change->from == before);
      CHECK(change->to == it_.state());
      CHECK(change->cause == it_.judge.cause());
      CHECK(it_.judge.since() == it_.now);
    }
    const uint32_t warmth = it_.judge.warmth(it_.now);
    CHECK((1 <= warmth && warmth <= 100));
    if (it_.judge.drain_deadline()) CHECK(it_.state() != BackendState::up);
  }

  size_t changes = 0;

 private:
  bool lucky() { return inputs_.below(10) < luck_; }

  Changed act() {
    const uint64_t what = inputs_.below(1000);
    if (what < 400) return check();
    if (what < 800) return request();
    if (what < 940) return tick();
    if (what < 970) return order();
    if (what < 980) {
      model_.ask(model_.by_file, it_.now);
      return it_.judge.remove(it_.now);
    }
    model_.by_file = {};
    return it_.judge.unremove(it_.now);
  }

  Changed check() {
    const bool passes = lucky();
    model_.note(passes ? Fact::check_passed : Fact::check_failed, it_.now);
    if (!passes) return it_.judge.checked({CheckResult::Kind::fail, "answered 500"}, it_.now);
    const bool asks = inputs_.one_in(10);
    if (asks) model_.ask(model_.by_answer, it_.now);
    if (!asks) model_.by_answer = {};
    return it_.judge.checked({asks ? CheckResult::Kind::drain : CheckResult::Kind::pass, ""}, it_.now);
  }

  Changed request() {
    if (lucky()) {
      model_.note(Fact::request_succeeded, it_.now);
      it_.judge.succeeded();
      return {};
    }
    const bool may_go_down = !inputs_.one_in(3);
    model_.note(Fact::request_failed, it_.now, may_go_down);
    return it_.judge.failed("reset", may_go_down, it_.now);
  }

  Changed tick() {
    const uint64_t sessions = inputs_.below(3);
    model_.tick(sessions, it_.now);
    return it_.judge.tick(sessions, it_.now);
  }

  Changed order() {
    const auto order = static_cast<Order>(inputs_.below(4));
    const BackendState before = it_.state();
    const Judge::Answer answer = it_.judge.order(order, "ada", it_.now);
    CHECK(answer.refusal.empty() == is_accepted(order));
    if (!answer.refusal.empty()) {
      CHECK_FALSE(answer.change);
      return {};
    }
    if (order == Order::drain) model_.ask(model_.by_order, it_.now);
    if (order != Order::drain) model_.by_order = {};
    if (order == Order::maintenance) model_.maintenance = true;
    if (order == Order::up) {
      if (!in_service(before)) model_.start_over();
      model_.maintenance = false;
      model_.by_answer = {};
    }
    return answer.change;
  }
  bool is_accepted(Order order) const {
    switch (order) {
      case Order::drain:
        return !model_.maintenance;
      case Order::undrain:
        return model_.by_order.asked;
      case Order::maintenance:
        return true;
      case Order::up:
        return !model_.by_file.asked;
    }
    return false;
  }

  Judged it_;
  JudgeModel model_;
  limpet::routing::test::Inputs& inputs_;
  uint64_t luck_ = 9;  // of ten checks and requests so many go well
};

TEST_CASE("a judge's state is what a plain reading of the rules makes of all that happened") {
  size_t changes = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    LIMPET_RANDOM_INPUTS(seed);
    auto rules = short_rules();
    rules.check.rise = static_cast<uint32_t>(1 + inputs.below(3));
    rules.check.fall = static_cast<uint32_t>(1 + inputs.below(4));
    rules.passive.failures = static_cast<uint32_t>(2 + inputs.below(4));
    rules.slow_start = inputs.below(20'000);
    Life life(rules, inputs);
    for (int i = 0; i < 2000; ++i) life.step();
    changes += life.changes;
  }
  CHECK(changes > 10'000);  // it did live
}

}  // namespace limpet::health::judge_property_test
