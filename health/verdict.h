// Whether a backend works. Requests make Limpet ask; the question decides.
//
// It is presumed to work. It is down once `fall` questions in a row have failed, or the first one ever. One
// that timed out while requests were answered does not count until `fall` times kDoubt have failed in a row:
// it is Limpet, or this one URL, that is slow. Once a question has found that nobody listens, each request
// that finds the same counts as another. A pass keeps it up, unless requests from `failures` different
// clients failed within `window` and none was answered: then it is down with a hold. Where so many failed,
// one question that fails is enough.
//
// A question that nobody configured may be one that this backend never answers well, at whatever page its
// users are served. It is put once without need; until it has passed once, that somebody listens who speaks
// the pool's protocol is a pass, and so it is while requests are answered.
//
// What rests on requests alone, or on nothing but questions that timed out, is weak: the caller says whether
// that may take it down, and where it may not the backend is held. It works again once `rise` questions in a
// row have passed and a hold is over.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "health/change.h"
#include "health/evidence.h"
#include "health/rules.h"

namespace limpet::health {

class Verdict {
 public:
  // Requests fail where the question passes, for example when a server answers that but drops everything
  // else. So that it does not flap between the two, each time costs twice as long, until a request was
  // answered in between.
  static constexpr Millis kFirstHold = 5'000, kLongestHold = 300'000;
  static constexpr uint32_t kDoubt = 3;

  bool is_up() const { return up_; }
  Cause cause() const { return cause_; }  // of the latest verdict
  const std::string& detail() const { return detail_; }
  bool is_weak() const { return !up_ && weak_; }
  bool is_unchecked() const { return unchecked_; }
  bool is_counting() const { return failed_ + doubted_ > 0 || !up_; }  // a rise or a fall is under way
  bool wants_question() const { return suspected_at_.has_value(); }
  // To learn whether the question that nobody configured can be relied on.
  bool wants_proof(const Rules& rules) const;
  // It would be down had that not been forbidden.
  bool is_held(const Rules& rules) const { return up_ && held_ && (is_crowd(rules) || is_enough(rules)); }
  // What speaks against it while it is up, for people; empty: nothing.
  std::string doubt(const Rules& rules) const;

  void answered(Answered last);
  // Evidence of requests takes it down only where nobody listens (above), which is strong. While it is down
  // they say nothing: they were begun before.
  void told(const Evidence& evidence, const Rules& rules);
  // An answer to the question that was put at `began`. `may_go_down`: on weak evidence.
  void checked(const CheckResult& result, Millis began, const Rules& rules, bool may_go_down, Millis now);

  void forget_old(const Rules& rules, Millis now);  // failures beyond the window

  // As if nothing had happened: up, but where checks are configured these have to pass first. `who` wants it.
  void start_over(const std::string& who, const Rules& rules);

 private:
  struct Failure {
    uint64_t client;
    Millis at;
  };

  void suspect(Millis at);
  void add_failure(const Evidence& evidence, size_t most);
  bool is_enough(const Rules& rules) const;
  bool is_crowd(const Rules& rules) const;
  bool tells(const CheckResult& failure, Millis began, const Rules& rules) const;
  void passed(const CheckResult& result, const Rules& rules, bool may_go_down, Millis now);
  void failed(const CheckResult& result, bool first, Millis began, const Rules& rules, bool may_go_down);
  void condemn(Cause cause, std::string detail, bool weak);
  std::string clients_failed(const Rules& rules) const;
  std::string answer(const Rules& rules) const;

  bool up_ = true;
  bool unchecked_ = true;
  bool proven_ = false;    // a question has passed
  uint32_t unproven_ = 0;  // questions that were taken, and failed
  bool weak_ = false;
  bool held_ = false;
  Cause cause_ = Cause::start;
  std::string detail_;
  Answered answered_;
  std::vector<Failure> failures_;       // since a request was answered: of each client the latest
  const char* how_ = "";                // the latest of them
  bool waited_ = false;                 // a request did, since a question passed or a request was answered
  std::optional<Millis> suspected_at_;  // the latest that no question has been put about since
  uint32_t passed_ = 0;                 // questions in a row
  uint64_t failed_ = 0, doubted_ = 0;   // in a row: that count (the first ever `fall` times), and others
  bool refused_ = false;                // the last of these was
  uint64_t also_refused_ = 0;           // requests since, while none was answered
  bool all_timed_out_ = true;           // of the questions
  std::string wrong_;                   // with the last of these
  Millis hold_ = kFirstHold;            // that the next condemnation by requests alone costs
  Millis held_down_until_ = 0;
};

}  // namespace limpet::health
