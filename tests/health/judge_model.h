// What a judge should say, worked out anew each time from everything that has happened: a list of facts, and
// the rules read as sentences over it. The reference that random sequences are held against.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "health/judge.h"

namespace limpet::health::test {

class JudgeModel {
 public:
  explicit JudgeModel(Rules rules) : rules_(std::move(rules)) {}

  enum class Fact { check_passed, check_failed, request_failed, request_succeeded };

  void note(Fact fact, Millis now, bool may_go_down = true) {
    const bool was_up = up_;
    facts_.push_back({fact, now, was_up});
    if (was_up && falls_by_checks()) go_down(false);
    if (was_up && fact == Fact::request_failed && may_go_down && requests_failed(now)) {
      go_down(true);
      until_ = now + hold();
    }
    if (!was_up && fact == Fact::check_passed &&
        succession(Fact::check_passed, Fact::check_failed) >= rules_.check.rise && now >= until_) {
      up_ = true;
      turned_ = facts_.size();
    }
  }
  void start_over() {
    facts_.clear();
    turned_ = 0;
    ever_checked_ = true;
    up_ = rules_.check.kind == conf::HealthCheck::Kind::none;
    downs_by_requests_.clear();
    until_ = 0;
  }

  struct Drain {
    bool asked = false, over = false;
    Millis since = 0;
  };
  void ask(Drain& drain, Millis now) {
    if (!drain.asked) drain = {true, false, now};
  }
  void tick(uint64_t sessions, Millis now) {
    for (Drain* drain : {&by_order, &by_file, &by_answer}) {
      if (!drain->asked) continue;
      if (now >= drain->since + rules_.drain_timeout) drain->over = true;
      if (drain != &by_answer && sessions == 0 && now >= drain->since + Judge::kSettling) drain->over = true;
    }
  }

  BackendState state() const {
    if (maintenance) return BackendState::maintenance;
    if (!up_) return BackendState::down;
    if (by_order.over || by_file.over || by_answer.over) return BackendState::maintenance;
    if (by_order.asked || by_file.asked || by_answer.asked) return BackendState::draining;
    return BackendState::up;
  }

  Drain by_order, by_file, by_answer;
  bool maintenance = false;

 private:
  struct Noted {
    Fact fact;
    Millis at;
    bool while_up;
  };

  // How often the one was the last, without the other, since the verdict last turned; failed checks count on
  // beyond that.
  size_t succession(Fact one, Fact other) const {
    size_t count = 0;
    for (size_t i = facts_.size(); i > turned_; --i) {
      if (facts_[i - 1].fact == other) break;
      if (facts_[i - 1].fact == one) ++count;
    }
    return count;
  }
  bool falls_by_checks() const {
    if (facts_.back().fact != Fact::check_failed) return false;
    const auto is_check = [](const Noted& it) {
      return it.fact == Fact::check_passed || it.fact == Fact::check_failed;
    };
    const bool first = !ever_checked_ && downs_by_requests_.empty() &&
                       std::count_if(facts_.begin(), facts_.end(), is_check) == 1;
    return first || succession(Fact::check_failed, Fact::check_passed) >= rules_.check.fall;
  }
  bool requests_failed(Millis now) const {
    size_t count = 0;
    for (size_t i = facts_.size(); i > turned_; --i) {
      if (facts_[i - 1].fact == Fact::request_succeeded) break;
      if (facts_[i - 1].fact == Fact::request_failed &&
          facts_[i - 1].at + static_cast<Millis>(rules_.passive.window.count()) >= now)
        ++count;
    }
    return count >= rules_.passive.failures;
  }
  void go_down(bool by_requests) {
    up_ = false;
    turned_ = facts_.size();
    if (by_requests) downs_by_requests_.push_back(facts_.size());
  }
  // Of the condemnation by requests that was noted last.
  Millis hold() const {
    Millis hold = Verdict::kFirstHold;
    for (size_t i = downs_by_requests_.size() - 1; i > 0; --i) {
      const auto from = facts_.begin() + static_cast<long>(downs_by_requests_[i - 1]);
      const auto to = facts_.begin() + static_cast<long>(downs_by_requests_[i]);
      const bool one_succeeded = std::any_of(
          from, to, [](const Noted& it) { return it.fact == Fact::request_succeeded && it.while_up; });
      if (one_succeeded) break;
      hold = std::min(hold * 2, Verdict::kLongestHold);
    }
    return hold;
  }

  const Rules rules_;
  std::vector<Noted> facts_;
  size_t turned_ = 0;  // facts before the verdict last changed
  bool ever_checked_ = false;
  bool up_ = true;
  std::vector<size_t> downs_by_requests_;  // facts before and with each
  Millis until_ = 0;
};

}  // namespace limpet::health::test
