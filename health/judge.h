// One backend's judge: weighs what requests tell, what the backend answers when it is asked, and orders, into
// a state, and says why. Pure: the clock is passed in and never goes back, and nothing is sent.
//
// The state is always this composition:
//     ordered into maintenance                                    -> maintenance
//     else its verdict is down (verdict.h)                        -> down
//     else a drain is asked for, and one of those asked is over   -> maintenance
//     else a drain is asked for                                   -> draining
//     else                                                        -> up
// A drain is asked for by an order, by a check's answer, or by the file that does not name the backend any
// more. It is over at its deadline; one by order or file also when no session is left, since whoever asked
// waits for that; a check's answer takes back what it asked. So nothing comes back from maintenance
// into service without a word from whoever put it there.
// A process that has served the pool for less than idle_timeout does not know the sessions that have not
// been seen since: that it knows of none is not enough then, unless the order says so.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "conf/settings.h"
#include "health/change.h"
#include "health/evidence.h"
#include "health/question.h"
#include "health/rules.h"
#include "health/verdict.h"
#include "routing/random.h"

namespace limpet::health {

// What an operator may order.
enum class Order : uint8_t {
  drain,
  undrain,
  maintenance,
  up,
  drain_known,  // a drain that waits for no session but those that this process knows
};
const char* text(Order);

// That a draining backend may have sessions beside those that are known. In milliseconds.
struct Unknown {
  Millis served_for = 0;    // the process has served the pool, which is less than:
  Millis idle_timeout = 0;  // the pool's
  Millis left = 0;          // until it knows all
};
// In short, where the rest is told beside it or grows old.
inline constexpr char kMayNotKnow[] = "Limpet may not know all of its sessions";
// "Limpet has served this pool for 2 min and may not know all of its sessions: it can say that none is left
// when none was seen for 30 min, in 28 min at the earliest".
std::string text(const Unknown& unknown);

class Judge {
 public:
  // A drain is not over sooner for want of sessions: workers hear of it between two events, and until then
  // may still place a new one.
  static constexpr Millis kSettling = 1000;
  // A question that nobody configured and nothing makes necessary comes after so many fast_intervals.
  static constexpr Millis kUnneeded = 5;
  // So long at most until the first check.
  static constexpr Millis kFirstChecks = 1000;

  // Up and unchecked. `seed` spreads the checks.
  Judge(Rules rules, Millis now, uint64_t seed);
  // It joined others, which are served since then: it warms up as one that comes back.
  void join(Millis now, Millis served_since) { back_since_ = now, served_since_ = served_since; }

  BackendState state() const { return state_; }
  Cause cause() const { return cause_; }
  const std::string& detail() const { return detail_; }
  Millis since() const { return since_; }
  bool is_down_on_weak_evidence() const { return verdict_.is_weak(); }
  bool is_held() const { return verdict_.is_held(rules_); }  // only the pool's limit keeps it from down
  // For people: why it cannot be asked, or what speaks against it while it is up; empty: nothing.
  std::string doubt() const;
  bool is_removed() const { return drains_[kByFile].phase != Drain::Phase::none; }
  // The first of its drains' deadlines, of those that are over as well; nothing while no drain is asked for.
  std::optional<Millis> drain_deadline() const;
  // Nothing where it does not drain, where all of its sessions are known, and where an order says to wait for
  // no others.
  std::optional<Unknown> unknown(Millis now) const;
  conf::HealthCheck question() const { return health::question(rules_.check); }
  // Its part of its share of new sessions: 1..100 percent, growing through slow_start after it came (back).
  uint32_t warmth(Millis now) const;

  // What requests tell. They make Limpet ask; and where nobody listens they speed up the verdict.
  void answered(Answered last);
  Changed told(const Evidence& evidence, Millis now);
  // The answer to the question that began last. `may_go_down`: that the pool's limit allows it on weak
  // evidence.
  Changed checked(const CheckResult& result, bool may_go_down, Millis now);

  // An order that makes no sense now is refused, and the refusal says why: "it is up (start): no drain is
  // ordered". One that holds already is accepted and changes nothing, but that the last order to drain says
  // for which sessions. `up` ends maintenance and drains. What is out of service comes back once `rise`
  // checks from then on have passed, or at once where none are configured.
  struct Answer {
    std::string refusal;  // empty: accepted
    Changed change;
  };
  Answer order(Order order, const std::string& who, Millis now);

  // The file: does not name it any more, names it again, names other rules.
  Changed remove(Millis now);
  Changed unremove(Millis now);
  void reconfigure(Rules rules, Millis now);

  // To be called about once a second. `sessions` are those it has, with the reservations for more
  // (Homes::load).
  Changed tick(uint64_t sessions, Millis now);

  // When to ask it next, in the past where that is overdue; nothing while it need not be asked, or is being
  // asked. A check that begins ends with checked(), whatever becomes of it.
  std::optional<Millis> next_check() const;
  void check_begins(Millis now);

 private:
  enum DrainBy : uint8_t { kByOrder, kByFile, kByAnswer };
  struct Drain {
    enum class Phase : uint8_t { none, under_way, emptied, overdue };
    Phase phase = Phase::none;
    Millis since = 0;
    std::string detail;
    bool known_only = false;  // it waits for no session that is not known

    bool is_over() const { return phase == Phase::emptied || phase == Phase::overdue; }
  };
  struct View {
    BackendState state{};
    Cause cause{};
    std::string detail;
  };

  View compose(View if_up) const;
  Changed recompose(Millis now, Cause cause_if_up, const std::string& detail_if_up);
  void begin_drain(DrainBy by, const std::string& detail, Millis now);
  bool knows_all(Millis now) const { return now - served_since_ >= rules_.idle_timeout; }
  std::string refusal(const char* why) const;
  bool wants_checks() const;
  Millis interval();
  void plan_check(Millis now);

  Rules rules_;
  routing::Random random_;
  Verdict verdict_;
  std::optional<std::string> maintenance_by_;  // who ordered it; then no drain is ordered
  std::array<Drain, 3> drains_;                // by DrainBy
  BackendState state_ = BackendState::up;
  Cause cause_ = Cause::start;
  std::string detail_;
  Millis since_;
  std::optional<Millis> back_since_;  // in service again, or at all; nothing: always was, or is not
  std::optional<Millis> next_check_;
  std::optional<Millis> check_began_;  // of the one under way
  Millis next_soonest_ = 0;            // at most one check every fast_interval
  std::string unasked_;                // why it could not be asked the last time; empty: it could
  Millis born_;
  Millis served_since_;  // the pool, by this process
};

}  // namespace limpet::health
