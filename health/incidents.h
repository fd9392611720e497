// The incidents of all pools: opened, followed and closed from changes of state and from what the session
// tables know of each backend as a home. Nothing is kept of a session: an incident is the difference of a
// home's books between its beginning and now, so what it counts is what they count.
//
// Requests that fail tell of trouble before checks do, so they count from the last second in which the
// backend answered and none failed. Answers that a dead backend still had under way may end after the first
// failures; one that answers for kAlwaysFailing such seconds always has some that fail, and they count from
// the last of these.
//
// Each loss (lost or carried, but for those that a first home called back) belongs to exactly one incident,
// and so does each session that is at risk: to the drain while its home drains, else to what put it at risk
// last: what took the home out of service, or a restart of it. One that a session moved away from, though it
// was in service and not at risk, is the open incident's, or begins a lapse.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "health/change.h"
#include "health/incident.h"
#include "routing/homes.h"

namespace limpet::health {

// How a backend stands as a home; all counts since the process began.
struct Standing {
  routing::HomeCensus census;
  uint64_t requests_answered = 0, requests_failed = 0, requests_retried = 0;
  std::string doubt{};       // what speaks against it while it is up
  bool has_unknown = false;  // it drains, and may have sessions that are not known
};

// What was lost, to which kind of incident and for which cause of it.
struct Losses {
  std::string pool;
  Incident::Kind kind{};
  Cause cause{};
  uint64_t lost = 0, lost_returned = 0;
};

class Incidents {
 public:
  static constexpr size_t kKept = 1000;  // and all that are still followed
  // Losses are counted when the next home has answered. So many ticks in succession without one and without a
  // doubt, and a lapse is over, or nothing more is to come of an outage whose backend is back.
  static constexpr int kQuietTicks = 2;
  static constexpr int kAlwaysFailing = 5;

  struct Where {
    size_t pool_id = 0;  // tells pools apart that have one name after the other
    std::string_view pool;
    Slot slot = routing::kNoSlot;
    std::string_view backend;
  };

  // A backend's state has changed. The standing is of after Homes::set_in_service has been told. `now` in
  // seconds of Unix time.
  std::vector<Notice> changed(const Where& where, const Change& change, const Standing& standing,
                              uint32_t now);
  // A backend in service was restarted, as `detail` says; Homes::put_at_risk has been told.
  std::vector<Notice> restarted(const Where& where, const std::string& detail, const Standing& standing,
                                uint32_t now);
  // For each backend about once a second.
  std::vector<Notice> tick(const Where& where, const Standing& standing, uint32_t now);
  // At any time: brings the numbers of what is followed up to now, so that they agree with all others.
  void refresh(const Where& where, const Standing& standing, uint32_t now);

  // Nothing is left of the backend, or of any pool of that name: what is open ends, and no slot and no name
  // is remembered but in recent().
  void forget(const Where& where, uint32_t now);
  void forget_pool(std::string_view pool);

  const std::deque<Incident>& recent() const { return recent_; }  // by id, the newest last
  const Incident* find(uint64_t id) const;                        // nullptr: unknown, or not kept any more
  // Since the process began, of all there ever were of pools that are not forgotten; no count ever falls. A
  // lapse may turn out to be the beginning of an outage, so it counts once it is over.
  std::vector<Losses> losses() const;

 private:
  // An incident that is being followed.
  struct Case {
    uint64_t id = 0;
    Standing base;           // what it is the difference from
    uint64_t put = 0;        // at risk, when it began
    uint64_t lost_then = 0;  // when it began
    int quiet_ticks = 0;
    uint64_t losses = 0;                   // at the last tick
    std::optional<routing::Books> told{};  // in the notice of its closing
  };
  struct Home {
    BackendState state = BackendState::up;
    Cause cause = Cause::start;
    std::string detail;
    std::string restart;  // what told of one, since it came into service; empty: nothing
    Standing quiet;       // when nothing was amiss the last time
    Standing last_tick;
    int mixed_ticks = 0;  // in which it answered and requests failed, since the last in which none did
    std::optional<Case> open;
  };
  struct Scene;  // one call's arguments, and the notices that it returns
  using LossKey = std::tuple<std::string, Incident::Kind, Cause>;  // the pool's name, and why
  using LossBooks = std::map<LossKey, Losses>;

  Home& home_of(Scene& scene);
  void leaves(Scene& scene);
  void be_at_risk(Scene& scene);
  void comes_back(Scene& scene);
  void be_quiet(Scene& scene);
  void follow(Scene& scene);
  void follow_lapse(Scene& scene);
  bool has_trouble(const Scene& scene) const;
  bool has_lost(const Scene& scene) const;
  bool has_lost_at_risk(const Scene& scene) const;
  void open(Scene& scene, Incident::Kind kind);
  void begin(Scene& scene, Case& it, Incident& incident);
  void widen(Scene& scene, Incident& lapse);
  void end(Scene& scene, Incident::End end);
  Incident* update(Scene& scene, Case& it);
  void close(Scene& scene, Case& it, Incident::End end);
  void tell(Scene& scene, Case& it);
  Incident* at(uint64_t id);
  void let_go(Home& home);
  void drop_oldest();
  void add_losses(LossBooks& books, const Incident& incident) const;

  std::map<std::pair<size_t, Slot>, Home> homes_;  // by the pool's id
  std::deque<Incident> recent_;
  std::unordered_set<uint64_t> followed_;   // the ids of all cases
  std::unordered_set<uint64_t> forgotten_;  // in recent_, of pools that are: their losses count no more
  LossBooks dropped_;                       // of what is not in recent_ any more
  uint64_t last_id_ = 0;
};

}  // namespace limpet::health
