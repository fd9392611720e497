// The incidents of all pools: opened, followed and closed from changes of state and from what the session
// tables know of each backend as a home. Nothing is kept of a session: an incident is the difference of a
// home's books between its beginning and now, so what it counts is what they count.
//
// Requests that fail tell of trouble before checks do, so they count from the last second in which the
// backend still answered any.
//
// Each loss (lost or carried, but for those that a first home called back) of a backend that is watched
// belongs to exactly one outage, maintenance or lapse. A drain tells its own story beside them: what it lost
// is theirs as well.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "health/change.h"
#include "health/incident.h"
#include "routing/homes.h"

namespace limpet::health {

// How a backend stands as a home; all counts since the process began.
struct Standing {
  routing::HomeCensus census;
  uint64_t failed_back =
      0;  // of the lost and carried: called back by their first home, for no fault of this one
  uint64_t requests_answered = 0, requests_failed = 0, requests_retried = 0;
};

class Incidents {
 public:
  static constexpr size_t kKept = 1000;
  // Losses are counted when the next home has answered. So many ticks in succession without one, and a lapse
  // is over, or nothing more is to come of an outage whose backend is back.
  static constexpr int kQuietTicks = 2;

  struct Where {
    std::string_view pool;
    Slot slot = routing::kNoSlot;
    std::string_view backend;
  };

  // A backend's state has changed. The standing is of after Homes::set_in_service has been told. `now` in
  // seconds of Unix time.
  std::vector<Notice> changed(const Where& where, const Change& change, const Standing& standing,
                              uint32_t now);
  // For each backend about once a second, and once before its first change.
  std::vector<Notice> tick(const Where& where, const Standing& standing, uint32_t now);

  const std::deque<Incident>& recent() const { return recent_; }  // by id, the newest last; kKept at most
  const Incident* find(uint64_t id) const;                        // nullptr: unknown, or not kept any more

 private:
  // An incident that is being followed.
  struct Case {
    uint64_t id = 0;
    Standing base;              // what it is the difference from
    bool in_service = false;    // a lapse, or the backend is back: only losses count from `base` on
    routing::Books until_base;  // what had happened before
    int quiet_ticks = 0;
    uint64_t losses = 0;                   // at the last tick
    std::optional<routing::Books> told{};  // in the notice of its closing
  };
  struct Home {
    BackendState state = BackendState::up;
    Cause cause = Cause::start;
    std::string detail;
    Standing quiet;  // when nothing was amiss the last time
    Standing last_tick;
    std::optional<Case> trouble, drain;
  };
  struct Scene;  // one call's arguments, and the notices that it returns

  Home& home_of(Scene& scene);
  void leaves(Scene& scene);
  void comes_back(Scene& scene);
  void be_quiet(Scene& scene);
  void follow_trouble(Scene& scene);
  void follow_in_service(Scene& scene, Case& trouble);
  void follow_drain(Scene& scene);
  Case open(Scene& scene, Incident::Kind kind, const Standing& base, bool in_service);
  Incident* update(Scene& scene, Case& it);
  void close(Scene& scene, Case& it, Incident::End end);
  void tell(Scene& scene, Case& it);
  Incident* at(uint64_t id);

  std::map<std::pair<std::string, Slot>, Home, std::less<>> homes_;
  std::deque<Incident> recent_;
  uint64_t last_id_ = 0;
};

}  // namespace limpet::health
