#include "health/verdict.h"

#include <algorithm>
#include <utility>

#include "conf/quantities.h"
#include "conf/spelling.h"
#include "health/question.h"

namespace limpet::health {

namespace {
constexpr size_t kMostTold = 100;    // clients that are counted beyond those that decide
constexpr uint32_t kMostProofs = 3;  // that are asked for
}  // namespace

// ---- what requests tell

void Verdict::answered(Answered last) {
  if (last.at <= answered_.at) return;
  answered_ = {std::max(last.begun, answered_.begun), last.at};
  if (!up_) return;
  hold_ = kFirstHold;
  waited_ = false;
  also_refused_ = 0;
  std::erase_if(failures_, [&](const Failure& failure) { return failure.at < last.at; });
  if (suspected_at_ && answered_.begun > *suspected_at_) suspected_at_.reset();
}

void Verdict::told(const Evidence& evidence, const Rules& rules) {
  if (!up_) return;
  switch (evidence.kind) {
    case Evidence::Kind::failed:
      suspect(evidence.at);
      if (evidence.at < answered_.at) break;
      add_failure(evidence, rules.passive.failures);
      if (!evidence.refused || !refused_ || rules.passive.failures == 0) break;
      ++also_refused_;
      if (is_enough(rules)) condemn(Cause::checks, answer(rules), false);
      break;
    case Evidence::Kind::doubtful:
      suspect(evidence.at);
      break;
    case Evidence::Kind::waits:
      if (answered_.at >= evidence.at) break;
      waited_ = true;
      suspect(evidence.at);
      break;
  }
}

void Verdict::suspect(Millis at) {
  if (answered_.begun <= at) suspected_at_ = std::max(at, suspected_at_.value_or(0));
}

void Verdict::add_failure(const Evidence& evidence, size_t most) {
  how_ = evidence.how;
  Failure latest{evidence.client, evidence.at};
  const auto known = std::find_if(failures_.begin(), failures_.end(),
                                  [&](const Failure& failure) { return failure.client == evidence.client; });
  if (known != failures_.end()) {
    latest.at = std::max(latest.at, known->at);
    failures_.erase(known);
  }
  failures_.push_back(latest);
  if (failures_.size() > std::max(most, kMostTold)) failures_.erase(failures_.begin());
}

void Verdict::forget_old(const Rules& rules, Millis now) {
  const Millis window = millis(rules.passive.window);
  std::erase_if(failures_, [&](const Failure& failure) { return failure.at + window < now; });
}

bool Verdict::is_enough(const Rules& rules) const {
  return failed_ + also_refused_ >= rules.check.fall || failed_ + doubted_ >= rules.check.fall * kDoubt;
}

bool Verdict::is_crowd(const Rules& rules) const {
  return rules.passive.failures != 0 && failures_.size() >= rules.passive.failures;
}

// ---- what the question comes to

void Verdict::checked(const CheckResult& result, Millis began, const Rules& rules, bool may_go_down,
                      Millis now) {
  if (result.kind == CheckResult::Kind::unasked) return;
  const bool is_needed = is_configured(rules.check) || is_counting() || wants_question();
  const bool first = std::exchange(unchecked_, false) && is_configured(rules.check) && answered_.at == 0;
  if (!result.failed()) {
    proven_ = true;
  } else if (result.connected) {
    ++unproven_;
  }
  if (!is_needed) return;
  if (suspected_at_ && *suspected_at_ <= began) suspected_at_.reset();
  forget_old(rules, now);
  if (result.failed() && tells(result, began, rules)) {
    failed(result, first, began, rules, may_go_down);
  } else {
    passed(result, rules, may_go_down, now);
  }
}

bool Verdict::wants_proof(const Rules& rules) const {
  return !is_configured(rules.check) && !proven_ && unproven_ < kMostProofs;
}

bool Verdict::tells(const CheckResult& failure, Millis began, const Rules& rules) const {
  if (is_configured(rules.check) || !failure.connected) return true;
  return (proven_ || failure.foreign) && answered_.at < began;
}

void Verdict::passed(const CheckResult& result, const Rules& rules, bool may_go_down, Millis now) {
  failed_ = doubted_ = also_refused_ = 0;
  refused_ = false;
  all_timed_out_ = true;
  waited_ = false;
  if (!up_) {
    passed_ = std::min(passed_ + 1, rules.check.rise);
    if (passed_ < rules.check.rise || now < held_down_until_) return;
    up_ = true;
    passed_ = 0;
    cause_ = Cause::checks;
    detail_.clear();
    return;
  }
  held_ = is_crowd(rules) && !may_go_down;
  if (!is_crowd(rules) || held_) return;
  held_down_until_ = now + hold_;
  hold_ = std::min(hold_ * 2, kLongestHold);
  const std::string how = !result.failed() ? " passes"
                          : proven_        ? " does not count: " + result.detail
                                           : " never passed: " + result.detail;
  condemn(Cause::requests, clients_failed(rules) + ", and none was answered; " + text(rules.check) + how,
          true);
}

void Verdict::failed(const CheckResult& result, bool first, Millis began, const Rules& rules,
                     bool may_go_down) {
  passed_ = 0;
  const bool timed_out = result.kind == CheckResult::Kind::timeout;
  if (timed_out && answered_.at >= began) {
    ++doubted_;
  } else {
    failed_ += first ? rules.check.fall : 1;
  }
  refused_ = result.refused;
  all_timed_out_ = all_timed_out_ && timed_out;
  wrong_ = result.detail;
  const bool enough = is_enough(rules);
  const bool weak = !enough || (all_timed_out_ && !is_crowd(rules));
  if (!up_) {
    if (enough) condemn(Cause::checks, answer(rules), weak_ && weak);
    return;
  }
  const bool is_wrong = enough || is_crowd(rules);
  held_ = is_wrong && weak && !may_go_down;
  if (!is_wrong || held_) return;
  const std::string also = is_crowd(rules) ? "; " + clients_failed(rules) : "";
  condemn(Cause::checks, answer(rules) + also, weak);
}

void Verdict::condemn(Cause cause, std::string detail, bool weak) {
  up_ = false;
  weak_ = weak;
  cause_ = cause;
  detail_ = std::move(detail);
  passed_ = 0;
  failures_.clear();
  suspected_at_.reset();
  waited_ = false;
}

void Verdict::start_over(const std::string& who, const Rules& rules) {
  const Answered before = answered_;
  const bool was_proven = proven_;
  *this = {};
  answered_ = before;
  proven_ = was_proven;
  if (is_configured(rules.check)) condemn(Cause::order, who, false);
}

// ---- for people

// What was asked, and what the answer was.
std::string Verdict::answer(const Rules& rules) const {
  std::string text = health::text(rules.check) + ": " + wrong_;
  if (also_refused_ != 0) text += ", " + conf::counted(also_refused_, "request") + " too";
  if (doubted_ != 0)
    text += ", " + std::to_string(failed_ + doubted_) + " times in a row, though requests were answered";
  return text;
}

std::string Verdict::clients_failed(const Rules& rules) const {
  return "requests of " + conf::counted(failures_.size(), "client") + " failed within " +
         conf::duration_text(rules.passive.window) + " (" + how_ + ")";
}

std::string Verdict::doubt(const Rules& rules) const {
  if (!up_) return {};
  std::string what;
  if (is_counting()) {
    what = answer(rules);
    if (!is_enough(rules)) {
      const uint64_t most = rules.check.fall * (doubted_ == 0 ? 1 : kDoubt);
      what += " (" + std::to_string(failed_ + also_refused_ + doubted_) + " of " + std::to_string(most) + ")";
    }
  }
  if (!failures_.empty()) {
    what += (what.empty() ? "" : "; ") + clients_failed(rules);
    if (!is_counting() && !suspected_at_)
      what += "; " + text(rules.check) + (proven_ ? " passes" : " has never passed");
  }
  if (what.empty() && waited_) what = "a request has waited long, and none was answered";
  return is_held(rules) ? "held: " + what : what;
}

}  // namespace limpet::health
