// Whether a backend works, weighed from its checks and from what became of requests to it.
//
// It is presumed to work until there is evidence: the very first check, if it fails; later `fall` failed
// checks in succession; or `failures` failed requests in succession within `window`, unless the caller
// forbids that. It works again once `rise` checks in succession have passed and, after failed requests, a
// hold is over.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"
#include "health/change.h"

namespace limpet::health {

class Verdict {
 public:
  // Requests fail where checks pass, for example when a server answers its check but hangs on everything
  // else. So that it does not flap between the two, each time costs twice as long, until a request succeeded
  // in between.
  static constexpr Millis kFirstHold = 5'000, kLongestHold = 300'000;

  bool is_up() const { return up_; }
  Cause cause() const { return cause_; }  // of the latest verdict
  const std::string& detail() const { return detail_; }
  // Down, and no configured check has confirmed it.
  bool on_requests_alone() const { return !up_ && on_requests_alone_; }
  bool is_unchecked() const { return unchecked_; }
  bool is_counting() const { return failed_checks_ > 0 || !up_; }  // a rise or a fall is under way
  // It would be down had that not been forbidden.
  bool is_held(const conf::PassiveHealth& rules) const {
    return rules.failures != 0 && failures_.size() >= rules.failures;
  }

  // A check has passed or failed. Where none are configured (`rules.kind`) it is the substitute that finds
  // out whether a backend is back, and its failure is no evidence.
  void checked(bool passed, const std::string& error, const conf::HealthCheck& rules, Millis now);

  // A request has failed, or one succeeded. While down neither says anything: it was begun before. `refused`:
  // no connection could be made, so that a check which makes one shows the contrary, and there is no hold.
  void failed(const std::string& error, const conf::PassiveHealth& rules, bool may_go_down, Millis now,
              bool refused = false);
  void succeeded();

  // Failures that are older than the window count no more.
  void forget_failures(const conf::PassiveHealth& rules, Millis now);

  // As if nothing had happened: up, but where checks are configured these have to pass first. `who` wants it.
  void start_over(const std::string& who, const conf::HealthCheck& rules);

 private:
  void condemn(Cause cause, const std::string& error);

  bool up_ = true;
  bool unchecked_ = true;
  bool on_requests_alone_ = false;
  Cause cause_ = Cause::start;
  std::string detail_;
  uint32_t passed_checks_ = 0, failed_checks_ = 0;  // in succession
  std::vector<Millis> failures_;                    // of requests, in succession; full only while held
  Millis hold_ = kFirstHold;                        // that the next condemnation by requests costs
  Millis held_down_until_ = 0;
};

}  // namespace limpet::health
