#include "health/judge.h"

#include <algorithm>
#include <utility>

#include "conf/spelling.h"

namespace limpet::health {

const char* text(Order order) {
  constexpr const char* kNames[] = {"drain", "undrain", "maintenance", "up", "drain of known sessions"};
  return kNames[static_cast<size_t>(order)];
}

std::string text(const Unknown& unknown) {
  const auto words = [](Millis span) {
    return conf::duration_words(static_cast<int64_t>((span + 999) / 1000));
  };
  return "Limpet has served this pool for " + words(unknown.served_for) +
         " and may not know all of its sessions: it can say that none is left when none was seen for " +
         words(unknown.idle_timeout) + ", in " + words(unknown.left) + " at the earliest";
}

Judge::Judge(Rules rules, Millis now, uint64_t seed)
    : rules_(std::move(rules)), random_(seed), since_(now), born_(now), served_since_(now) {
  plan_check(now);
}

std::optional<Millis> Judge::drain_deadline() const {
  std::optional<Millis> first;
  for (const Drain& drain : drains_) {
    if (drain.phase == Drain::Phase::none) continue;
    const Millis at = drain.since + rules_.drain_timeout;
    if (!first || at < *first) first = at;
  }
  return first;
}

std::optional<Unknown> Judge::unknown(Millis now) const {
  if (state_ != BackendState::draining || knows_all(now) || drains_[kByOrder].known_only) return std::nullopt;
  const Millis served_for = now - served_since_;
  return Unknown{served_for, rules_.idle_timeout, rules_.idle_timeout - served_for};
}

uint32_t Judge::warmth(Millis now) const {
  if (!back_since_ || now - *back_since_ >= rules_.slow_start) return routing::kWarm;
  return 1 + static_cast<uint32_t>((routing::kWarm - 1) * (now - *back_since_) / rules_.slow_start);
}

// --- Evidence ---

// What was counted before belongs to whoever had its place.
void Judge::answered(Answered last) {
  if (last.at >= born_) verdict_.answered(last);
}

Changed Judge::told(const Evidence& evidence, Millis now) {
  verdict_.told(evidence, rules_);
  return recompose(now, cause_, detail_);
}

Changed Judge::checked(const CheckResult& result, bool may_go_down, Millis now) {
  const Millis began = std::exchange(check_began_, std::nullopt).value_or(now);
  unasked_ = result.kind == CheckResult::Kind::unasked ? result.detail : "";
  verdict_.checked(result, began, rules_, may_go_down, now);
  if (result.kind == CheckResult::Kind::drain) begin_drain(kByAnswer, result.detail, now);
  if (result.kind == CheckResult::Kind::pass) drains_[kByAnswer] = {};
  next_check_ = std::max(now, began + interval());
  const bool configured = is_configured(rules_.check);
  return recompose(now, Cause::checks, configured ? "" : text(rules_.check) + " is answered again");
}

std::string Judge::doubt() const {
  if (!unasked_.empty()) return text(rules_.check) + " cannot be asked: " + unasked_;
  return verdict_.doubt(rules_);
}

// --- Orders and the file ---

Judge::Answer Judge::order(Order order, const std::string& who, Millis now) {
  if (maintenance_by_ && order != Order::maintenance && order != Order::up)
    return {refusal("`up` ends that"), {}};
  switch (order) {
    case Order::drain:
    case Order::drain_known:
      begin_drain(kByOrder, who, now);
      drains_[kByOrder].known_only = order == Order::drain_known;
      break;
    case Order::undrain:
      if (drains_[kByOrder].phase == Drain::Phase::none) return {refusal("no drain is ordered"), {}};
      drains_[kByOrder] = {};
      break;
    case Order::maintenance:
      if (!maintenance_by_) maintenance_by_ = who;
      drains_[kByOrder] = {};
      break;
    case Order::up:
      if (is_removed()) return {refusal("the file does not name it any more"), {}};
      maintenance_by_.reset();
      drains_ = {};
      if (in_service(state_)) break;
      verdict_.start_over(who, rules_);
      if (wants_checks()) next_check_ = now;
      break;
  }
  return {{}, recompose(now, Cause::order, who)};
}

Changed Judge::remove(Millis now) {
  begin_drain(kByFile, "", now);
  return recompose(now, Cause::reload, "");
}

Changed Judge::unremove(Millis now) {
  drains_[kByFile] = {};
  plan_check(now);
  return recompose(now, Cause::reload, "");
}

void Judge::reconfigure(Rules rules, Millis now) {
  rules_ = std::move(rules);
  plan_check(now);
}

void Judge::begin_drain(DrainBy by, const std::string& detail, Millis now) {
  if (drains_[by].phase == Drain::Phase::none) drains_[by] = {Drain::Phase::under_way, now, detail};
}

std::string Judge::refusal(const char* why) const {
  std::string refusal = std::string("it is ") + routing::predicate(state_) + " (" + health::text(cause_);
  if (!detail_.empty()) refusal += ": " + detail_;
  return refusal + "): " + why;
}

// --- Time ---

Changed Judge::tick(uint64_t sessions, Millis now) {
  verdict_.forget_old(rules_, now);
  for (size_t by = 0; by < drains_.size(); ++by) {
    Drain& drain = drains_[by];
    if (drain.phase != Drain::Phase::under_way) continue;
    const Millis lasted = now - drain.since;
    const bool is_empty = sessions == 0 && (drain.known_only || knows_all(now));
    if (is_empty && lasted >= kSettling && by != kByAnswer) {
      drain.phase = Drain::Phase::emptied;
    } else if (lasted >= rules_.drain_timeout) {
      drain.phase = Drain::Phase::overdue;
    }
  }
  return recompose(now, cause_, detail_);
}

// --- The state ---

Judge::View Judge::compose(View if_up) const {
  if (maintenance_by_) return {BackendState::maintenance, Cause::order, *maintenance_by_};
  if (!verdict_.is_up()) return {BackendState::down, verdict_.cause(), verdict_.detail()};
  for (const Drain& drain : drains_) {
    if (drain.is_over()) {
      const bool emptied = drain.phase == Drain::Phase::emptied;
      return {BackendState::maintenance, emptied ? Cause::drained : Cause::drain_timeout, drain.detail};
    }
  }
  constexpr Cause kCauses[] = {Cause::order, Cause::reload, Cause::answer};  // by DrainBy
  for (size_t by = 0; by < drains_.size(); ++by) {
    if (drains_[by].phase != Drain::Phase::none)
      return {BackendState::draining, kCauses[by], drains_[by].detail};
  }
  return if_up;
}

// Takes the state to what the composition says now.
Changed Judge::recompose(Millis now, Cause cause_if_up, const std::string& detail_if_up) {
  View view = compose({BackendState::up, cause_if_up, detail_if_up});
  const BackendState from = std::exchange(state_, view.state);
  const bool changed = from != state_;
  if (changed || state_ != BackendState::up) {  // what keeps a backend from being up may change while it does
    cause_ = view.cause;
    detail_ = std::move(view.detail);
  }
  if (!changed) return {};
  since_ = now;
  if (!in_service(state_)) {
    back_since_.reset();
  } else if (!in_service(from)) {
    back_since_ = now;
  }
  plan_check(now);
  return Change{from, state_, cause_, detail_};
}

// --- When to check ---

// Without configured checks a backend is asked once after a while, while it is in doubt, and while it is
// down: nothing else would tell that it is back. What has left the file and has been drained is not asked any
// more.
bool Judge::wants_checks() const {
  if (drains_[kByFile].is_over()) return false;
  return is_configured(rules_.check) || verdict_.is_counting() || verdict_.wants_question() ||
         verdict_.wants_proof(rules_);
}

// One part in ten shorter or longer, so that checks that coincide once do not go on to.
Millis Judge::interval() {
  const Millis fast = millis(rules_.check.fast_interval);
  const Millis mean = verdict_.is_counting()        ? fast
                      : is_configured(rules_.check) ? millis(rules_.check.interval)
                                                    : fast * kUnneeded;
  return mean - mean / 10 + random_.below(mean / 5 + 1);
}

std::optional<Millis> Judge::next_check() const {
  if (check_began_ || !wants_checks()) return std::nullopt;
  if (!verdict_.wants_question()) return next_check_;
  return next_check_ ? std::min(*next_check_, next_soonest_) : next_soonest_;
}

void Judge::check_begins(Millis now) {
  check_began_ = now;
  next_soonest_ = now + millis(rules_.check.fast_interval);
}

// After something that may ask for checks sooner than was planned, or for none.
void Judge::plan_check(Millis now) {
  if (!wants_checks()) {
    next_check_.reset();
    return;
  }
  const bool first = is_configured(rules_.check) && verdict_.is_unchecked() && !next_check_;
  const Millis at =
      now + (first ? random_.below(std::min(millis(rules_.check.interval), kFirstChecks)) : interval());
  if (!next_check_ || at < *next_check_) next_check_ = at;
}

}  // namespace limpet::health
