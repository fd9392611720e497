// What a judge should say, worked out anew each time from everything that has happened: a list of facts, and
// the rules read as sentences over it. The reference that random sequences are held against.
#pragma once

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "health/judge.h"

namespace limpet::health::test {

class JudgeModel {
 public:
  using Result = CheckResult::Kind;

  JudgeModel(Rules rules, Millis start) : rules_(std::move(rules)), start_(start) {}

  // ---- what happens

  void request_answered(Millis begun, Millis now) {
    facts_.push_back({.what = Fact::answered, .begun = begun, .at = now});
    if (up_) downs_by_requests_ = 0;
    std::erase_if(doubts_, [&](Millis at) { return at < begun; });
  }
  void request_failed(uint64_t client, Millis at, bool refused) {
    if (!up_) return;
    const size_t before = also_refused();
    facts_.push_back({.what = Fact::failed, .at = at, .client = client, .refused = refused});
    doubt(at);
    if (also_refused() != before && fell()) {
      cause = Cause::checks;
      is_weak = false;
      turn(false);
    }
  }
  void request_doubtful(Millis at) { doubt(at); }
  void request_waits(Millis since) {
    if (!up_ || was_answered(since)) return;
    facts_.push_back({.what = Fact::waits, .at = since});
    doubt(since);
  }

  void asked(const CheckResult& said, Millis began, bool may_go_down, Millis now) {
    Result result = said.kind;
    if (result == Result::unasked) return;
    const bool is_needed = is_configured() || is_counting() || is_in_doubt();
    const bool is_first = std::exchange(never_asked_, false) && is_configured() && !was_answered(0);
    if (!said.failed()) has_passed_ = true;
    if (said.failed() && said.connected) ++taken_and_failed_;
    if (!is_needed) return;
    // A question that nobody configured, which somebody takes, fails only once it has passed, or in another
    // protocol, and while nothing else is answered.
    const bool counts = has_passed_ || said.foreign;
    const bool can_fail = is_configured() || !said.connected || (counts && !was_answered(began));
    if (!can_fail) result = Result::pass;
    const bool failed = result == Result::fail || result == Result::timeout;
    facts_.push_back({.what = Fact::asked,
                      .at = now,
                      .result = result,
                      .refused = failed && said.refused,
                      .is_first = is_first});
    facts_.back().is_forgiven = result == Result::timeout && was_answered(began);
    std::erase_if(doubts_, [&](Millis at) { return at <= began; });
    if (!up_) {
      if (failed && fell()) {
        cause = Cause::checks;
        is_weak = is_weak && all_timed_out();
      }
      if (!failed && passes_in_a_row() >= rules_.check.rise && now >= until_) turn(true);
      return;
    }
    held_ = false;
    if (!(failed && fell()) && !is_crowd(now)) return;
    const bool weak = !fell() || (all_timed_out() && !is_crowd(now));
    held_ = weak && !may_go_down;
    if (held_) return;
    if (!failed) {
      until_ = now + hold();
      ++downs_by_requests_;
    }
    cause = failed ? Cause::checks : Cause::requests;
    is_weak = weak;
    turn(false);
  }

  void start_over() {
    never_asked_ = true;
    taken_and_failed_ = 0;
    began_ = facts_.size();
    downs_by_requests_ = 0;
    until_ = 0;
    held_ = is_weak = false;
    cause = Cause::order;
    turn(!is_configured());
  }

  struct Drain {
    bool asked = false, over = false;
    Millis since = 0;
    bool known_only = false;
  };
  void ask(Drain& drain, Millis now) {
    if (!drain.asked) drain = {true, false, now};
  }
  void tick(uint64_t sessions, Millis now) {
    for (Drain* drain : {&by_order, &by_file, &by_answer}) {
      if (!drain->asked) continue;
      if (now >= drain->since + rules_.drain_timeout) drain->over = true;
      const bool none_is_left = sessions == 0 && (drain->known_only || now >= start_ + rules_.idle_timeout);
      if (drain != &by_answer && none_is_left && now >= drain->since + Judge::kSettling) drain->over = true;
    }
  }

  // ---- what follows

  BackendState state() const {
    if (maintenance) return BackendState::maintenance;
    if (!up_) return BackendState::down;
    if (by_order.over || by_file.over || by_answer.over) return BackendState::maintenance;
    if (by_order.asked || by_file.asked || by_answer.asked) return BackendState::draining;
    return BackendState::up;
  }
  bool may_have_unknown(Millis now) const {
    return state() == BackendState::draining && now < start_ + rules_.idle_timeout && !by_order.known_only;
  }
  bool is_up() const { return up_; }
  bool is_held(Millis now) const { return up_ && held_ && (is_crowd(now) || fell()); }

  bool is_in_doubt() const { return !doubts_.empty(); }
  bool wants_proof() const { return !is_configured() && !has_passed_ && taken_and_failed_ < 3; }
  bool is_counting() const { return !up_ || !row().empty(); }

  Drain by_order, by_file, by_answer;
  bool maintenance = false;
  Cause cause = Cause::start;  // while its verdict is down
  bool is_weak = false;        // then

 private:
  struct Fact {
    enum What : uint8_t { asked, failed, waits, answered } what;  // failed, waits: while up
    Millis begun = 0;                                             // answered
    Millis at = 0;                                                // waits: since when
    uint64_t client = 0;                                          // failed
    Result result{};                                              // asked
    bool refused = false;                                         // asked, failed
    bool is_first = false, is_forgiven = false;
  };

  bool is_configured() const { return rules_.check.kind != conf::HealthCheck::Kind::none; }

  // Requests only make Limpet ask, while it is up: about what no question has been put since, and no request
  // that was answered has been begun since.
  void doubt(Millis at) {
    const bool is_over = std::any_of(facts_.begin(), facts_.end(), [&](const Fact& it) {
      return it.what == Fact::answered && it.begun > at;
    });
    if (up_ && !is_over) doubts_.push_back(at);
  }
  bool was_answered(Millis since) const {
    return std::any_of(facts_.begin(), facts_.end(),
                       [&](const Fact& it) { return it.what == Fact::answered && it.at >= since; });
  }

  // The questions that have failed in a row, since it was ordered up at the earliest.
  std::vector<Fact> row() const {
    std::vector<Fact> row;
    for (size_t i = facts_.size(); i > began_; --i) {
      const Fact& fact = facts_[i - 1];
      if (fact.what != Fact::asked) continue;
      if (fact.result != Result::fail && fact.result != Result::timeout) break;
      row.push_back(fact);
    }
    return row;
  }
  bool fell() const {
    size_t all = 0, counted = 0;
    for (const Fact& question : row()) {
      ++all;
      if (!question.is_forgiven) ++counted;
      if (question.is_first) return true;
    }
    return counted + also_refused() >= rules_.check.fall || all >= size_t{rules_.check.fall} * 3;
  }
  // Requests that were refused after a question was, while nothing was answered and no question passed.
  size_t also_refused() const {
    size_t count = 0;
    bool refused = false;
    Millis answered = 0;
    for (size_t i = began_; i < facts_.size() && rules_.passive.failures != 0; ++i) {
      const Fact& fact = facts_[i];
      const bool passed =
          fact.what == Fact::asked && fact.result != Result::fail && fact.result != Result::timeout;
      if (passed || (fact.what == Fact::answered && fact.at > answered)) count = 0;
      if (fact.what == Fact::answered) answered = fact.at;
      if (fact.what == Fact::asked) refused = fact.refused;
      if (fact.what == Fact::failed && fact.refused && refused && fact.at >= answered) ++count;
    }
    return count;
  }
  bool all_timed_out() const {
    const auto failed = row();
    return std::all_of(failed.begin(), failed.end(),
                       [](const Fact& it) { return it.result == Result::timeout; });
  }
  size_t passes_in_a_row() const {
    size_t count = 0;
    for (size_t i = facts_.size(); i > turned_; --i) {
      const Fact& fact = facts_[i - 1];
      if (fact.what != Fact::asked) continue;
      if (fact.result == Result::fail || fact.result == Result::timeout) break;
      ++count;
    }
    return count;
  }

  // Clients whose requests failed within the window, since it came up, and none was answered since.
  size_t clients(Millis now) const {
    std::set<uint64_t> clients;
    for (size_t i = turned_; i < facts_.size(); ++i) {
      const Fact& fact = facts_[i];
      if (fact.what == Fact::failed && fact.at + millis(rules_.passive.window) >= now &&
          !was_answered(fact.at + 1))
        clients.insert(fact.client);
    }
    return clients.size();
  }
  bool is_crowd(Millis now) const {
    return rules_.passive.failures != 0 && clients(now) >= rules_.passive.failures;
  }
  // Doubles with each time that requests took it down and none was answered since.
  Millis hold() const {
    Millis hold = Verdict::kFirstHold;
    for (uint64_t i = 0; i < downs_by_requests_; ++i) hold = std::min(2 * hold, Verdict::kLongestHold);
    return hold;
  }
  void turn(bool up) {
    up_ = up;
    turned_ = facts_.size();
    doubts_.clear();
  }

  const Rules rules_;
  const Millis start_;
  std::vector<Fact> facts_;
  std::vector<Millis> doubts_;
  size_t turned_ = 0;  // facts before the verdict last turned
  size_t began_ = 0;   // facts before the last order to be up
  bool never_asked_ = true;
  bool has_passed_ = false;
  int taken_and_failed_ = 0;
  bool up_ = true;
  bool held_ = false;
  uint64_t downs_by_requests_ = 0;
  Millis until_ = 0;
};

}  // namespace limpet::health::test
