#include "health/verdict.h"

#include <algorithm>
#include <utility>

namespace limpet::health {

void Verdict::checked(bool passed, const std::string& error, const conf::HealthCheck& rules, Millis now) {
  const bool first = std::exchange(unchecked_, false);
  if (passed) {
    failed_checks_ = 0;
    if (up_) return;
    passed_checks_ = std::min(passed_checks_ + 1, rules.rise);
    if (passed_checks_ < rules.rise || now < held_down_until_) return;
    up_ = true;
    passed_checks_ = 0;
    cause_ = Cause::checks;
    detail_.clear();
    return;
  }
  passed_checks_ = 0;
  if (rules.kind == conf::HealthCheck::Kind::none) return;
  failed_checks_ = std::min(failed_checks_ + 1, rules.fall);
  if (!first && failed_checks_ < rules.fall) return;
  on_requests_alone_ = false;
  condemn(Cause::checks, error);
}

void Verdict::failed(const std::string& error, const conf::PassiveHealth& rules, bool may_go_down, Millis now,
                     bool refused) {
  if (!up_ || rules.failures == 0) return;
  forget_failures(rules, now);
  failures_.push_back(now);
  if (failures_.size() < rules.failures) return;
  if (!may_go_down) {
    failures_.erase(failures_.begin(), failures_.end() - rules.failures);
    return;
  }
  on_requests_alone_ = true;
  unchecked_ = false;
  held_down_until_ = now + (refused ? 0 : hold_);
  if (!refused) hold_ = std::min(hold_ * 2, kLongestHold);
  condemn(Cause::requests, error);
}

void Verdict::succeeded() {
  if (!up_) return;
  failures_.clear();
  hold_ = kFirstHold;
}

void Verdict::forget_failures(const conf::PassiveHealth& rules, Millis now) {
  const auto window = static_cast<Millis>(rules.window.count());
  const Millis oldest = now > window ? now - window : 0;
  failures_.erase(failures_.begin(), std::lower_bound(failures_.begin(), failures_.end(), oldest));
}

void Verdict::start_over(const std::string& who, const conf::HealthCheck& rules) {
  *this = {};
  unchecked_ = false;
  if (rules.kind != conf::HealthCheck::Kind::none) condemn(Cause::order, who);
}

void Verdict::condemn(Cause cause, const std::string& error) {
  up_ = false;
  cause_ = cause;
  detail_ = error;
  failures_.clear();
  passed_checks_ = 0;
}

}  // namespace limpet::health
