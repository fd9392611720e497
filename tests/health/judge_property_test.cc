// Random sequences of everything that can happen to a judge, held against a plain model; and one client,
// which alone can do nothing.

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "tests/health/judge_model.h"
#include "tests/health/judged.h"
#include "tests/routing/random_inputs.h"

namespace limpet::health::judge_property_test {

using limpet::health::test::Judged;
using limpet::health::test::JudgeModel;
using limpet::health::test::short_rules;
using limpet::health::test::without_checks;
using limpet::routing::test::Inputs;
using Result = CheckResult::Kind;

// One judge and its model through the same random life.
class Life {
 public:
  Life(Rules rules, Inputs& inputs)
      : rules_(rules), it_(rules), model_(rules, Judged::kStart), inputs_(inputs) {}

  void step() {
    // Long stretches of good and of bad luck, or nothing would ever rise and fall.
    if (inputs_.one_in(30)) luck_with_questions_ = inputs_.below(11);
    if (inputs_.one_in(30)) luck_with_requests_ = inputs_.below(11);
    if (inputs_.one_in(30)) slowness_ = inputs_.below(11);
    it_.now += inputs_.one_in(200) ? inputs_.below(90'000) : inputs_.below(1500);
    it_.may_go_down = !inputs_.one_in(3);
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
    if (it_.is_down()) CHECK(it_.judge.cause() == model_.cause);
    CHECK(it_.judge.unknown(it_.now).has_value() == model_.may_have_unknown(it_.now));
    unknown += model_.may_have_unknown(it_.now);
    CHECK(it_.judge.is_down_on_weak_evidence() == (!model_.is_up() && model_.is_weak));
    check_times();
  }

  size_t changes = 0, unknown = 0, held = 0, downs_by_requests = 0, downs_by_refusal = 0;

 private:
  bool lucky(uint64_t luck) { return inputs_.below(10) < luck; }

  void check_times() {
    const uint32_t warmth = it_.judge.warmth(it_.now);
    CHECK((1 <= warmth && warmth <= 100));
    if (it_.judge.drain_deadline()) CHECK(it_.state() != BackendState::up);
    const auto next = it_.judge.next_check();
    if (began_) {
      CHECK_FALSE(next);
    } else if (!model_.by_file.over) {
      const bool is_configured = rules_.check.kind != conf::HealthCheck::Kind::none;
      CHECK(next.has_value() ==
            (is_configured || model_.is_in_doubt() || model_.is_counting() || model_.wants_proof()));
      if (model_.is_in_doubt()) {
        CHECK(*next <= last_began_ + 1000);
      } else if (next && !model_.is_counting() && last_began_ != Judged::kStart) {
        CHECK(*next >= last_began_ + 4500);
      }
    }
  }

  Changed act() {
    const uint64_t what = inputs_.below(1000);
    if (what < 400) return ask();
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

  // Half of the questions are answered at once, the others at a later step.
  Changed ask() {
    if (!began_) {
      began_ = last_began_ = it_.now;
      it_.judge.check_begins(it_.now);
      if (inputs_.one_in(2)) return {};
    }
    CheckResult result{any_result(), "it says so"};
    result.refused = result.kind == Result::fail && !inputs_.one_in(4);
    result.connected = !result.failed() || (!result.refused && inputs_.one_in(2));
    result.foreign = result.kind == Result::fail && result.connected && inputs_.one_in(4);
    const Changed change = it_.judge.checked(result, it_.may_go_down, it_.now);
    model_.asked(result, *began_, it_.may_go_down, it_.now);
    began_.reset();
    if (result.kind == Result::drain) model_.ask(model_.by_answer, it_.now);
    if (result.kind == Result::pass) model_.by_answer = {};
    if (result.kind != Result::unasked) check_held();
    downs_by_requests += change && change->cause == Cause::requests;
    return change;
  }
  Result any_result() {
    if (inputs_.one_in(20)) return Result::unasked;
    if (lucky(luck_with_questions_)) return inputs_.one_in(10) ? Result::drain : Result::pass;
    return lucky(slowness_) ? Result::timeout : Result::fail;
  }
  void check_held() {
    CHECK(it_.judge.is_held() == model_.is_held(it_.now));
    held += it_.judge.is_held();
  }

  // Some are told late.
  Changed request() {
    const Millis at = it_.now - (inputs_.one_in(4) ? inputs_.below(3000) : 0);
    if (lucky(luck_with_requests_)) {
      model_.request_answered(at, it_.now);
      it_.answered(at);
    } else if (const uint64_t what = inputs_.below(10); what == 0) {
      model_.request_doubtful(it_.now);
      it_.request_is_doubtful();
    } else if (what == 1) {
      model_.request_waits(at);
      it_.request_waits(at);
    } else {
      const uint64_t client = inputs_.below(6);
      const bool refused = !inputs_.one_in(4);
      model_.request_failed(client, at, refused);
      const Changed change = it_.request_fails(client, at, refused);
      downs_by_refusal += change.has_value();
      return change;
    }
    return {};
  }

  Changed tick() {
    const uint64_t sessions = inputs_.below(3);
    model_.tick(sessions, it_.now);
    const Changed change = it_.judge.tick(sessions, it_.now);
    check_held();
    return change;
  }

  Changed order() {
    const auto order = static_cast<Order>(inputs_.below(5));
    const BackendState before = it_.state();
    const Judge::Answer answer = it_.judge.order(order, "ada", it_.now);
    CHECK(answer.refusal.empty() == is_accepted(order));
    if (!answer.refusal.empty()) {
      CHECK_FALSE(answer.change);
      return {};
    }
    const bool drains = order == Order::drain || order == Order::drain_known;
    if (drains) model_.ask(model_.by_order, it_.now);
    if (!drains) model_.by_order = {};
    model_.by_order.known_only = order == Order::drain_known;
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
      case Order::drain_known:
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

  const Rules rules_;
  Judged it_;
  JudgeModel model_;
  Inputs& inputs_;
  uint64_t luck_with_questions_ = 9, luck_with_requests_ = 9;  // of ten so many go well
  uint64_t slowness_ = 5;                                      // of ten questions that fail so many time out
  std::optional<Millis> began_;                                // of the question under way
  Millis last_began_ = Judged::kStart;
};

TEST_CASE("a judge's state is what a plain reading of the rules makes of all that happened") {
  size_t changes = 0, unknown = 0, held = 0, downs_by_requests = 0, downs_by_refusal = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    LIMPET_RANDOM_INPUTS(seed);
    auto rules = inputs.one_in(4) ? without_checks() : short_rules();
    rules.check.rise = static_cast<uint32_t>(1 + inputs.below(3));
    rules.check.fall = static_cast<uint32_t>(1 + inputs.below(4));
    rules.passive.failures = static_cast<uint32_t>(inputs.below(5));
    rules.slow_start = inputs.below(20'000);
    rules.idle_timeout = inputs.one_in(2) ? inputs.below(800'000) : 0;
    Life life(rules, inputs);
    for (int i = 0; i < 1000; ++i) life.step();
    changes += life.changes;
    unknown += life.unknown;
    held += life.held;
    downs_by_requests += life.downs_by_requests;
    downs_by_refusal += life.downs_by_refusal;
  }
  CHECK(changes > 2500);  // it did live
  CHECK(unknown > 300);
  CHECK(held > 300);
  CHECK(downs_by_requests > 100);
  CHECK(downs_by_refusal > 30);
}

// A backend that answers its question and everybody else, and one client whose requests fail, wait and are
// answered doubtfully, as often as it likes.
class Beset {
 public:
  Beset(const Rules& rules, Inputs& inputs)
      : it_(rules), inputs_(inputs), forgiven_(rules.check.fall * 3 - 1) {}

  void step() {
    it_.now += inputs_.below(300);
    if (inputs_.one_in(50)) is_quiet_ = !is_quiet_;  // the others, at night
    if (!is_quiet_ && inputs_.one_in(3)) it_.answered(it_.now - inputs_.below(1000));
    if (inputs_.one_in(2)) misbehave();
    if (began_ && inputs_.one_in(3)) answer_question();
    if (!began_ && it_.is_due()) {
      began_ = it_.now;
      it_.judge.check_begins(it_.now);
      ++questions;
    }
    CHECK_FALSE(it_.tick(5));
    REQUIRE(it_.is_up());
    REQUIRE_FALSE(it_.judge.is_held());
  }

  size_t questions = 0, timeouts = 0;

 private:
  void misbehave() {
    const Millis at = it_.now - inputs_.below(20'000);
    switch (inputs_.below(4)) {
      case 0:
        it_.request_waits(at);
        break;
      case 1:
        it_.request_is_doubtful();
        break;
      default:
        it_.request_fails(1, inputs_.one_in(2) ? it_.now : at, inputs_.one_in(2));
    }
  }
  void answer_question() {
    const bool times_out = in_a_row_ < forgiven_ && !inputs_.one_in(8);
    if (times_out) it_.answered(*began_);
    in_a_row_ = times_out ? in_a_row_ + 1 : 0;
    timeouts += times_out;
    it_.may_go_down = inputs_.one_in(2);
    const Changed change = times_out ? it_.time_out() : it_.pass();
    CHECK_FALSE(change);
    began_.reset();
  }

  Judged it_;
  Inputs& inputs_;
  const uint32_t forgiven_;
  uint32_t in_a_row_ = 0;
  bool is_quiet_ = false;
  std::optional<Millis> began_;
};

TEST_CASE("one client, however it behaves, never takes down a backend that answers others and its question") {
  size_t questions = 0, timeouts = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    LIMPET_RANDOM_INPUTS(seed);
    auto rules = inputs.one_in(3) ? without_checks() : short_rules();
    rules.check.fall = static_cast<uint32_t>(1 + inputs.below(4));
    rules.passive.failures = static_cast<uint32_t>(2 + inputs.below(4));
    Beset beset(rules, inputs);
    for (int i = 0; i < 2000; ++i) beset.step();
    questions += beset.questions;
    timeouts += beset.timeouts;
  }
  CHECK(questions > 10'000);  // it was in doubt
  CHECK(timeouts > 5000);
}

}  // namespace limpet::health::judge_property_test
