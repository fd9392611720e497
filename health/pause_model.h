// How a pool's sessions pause and end, learnt from those that did: after each visit a session is ended by
// logout, or idles; then it makes another visit, or is never seen again and expires.
//
// The times of idling are estimated as survival times, since the sessions that idle at the moment tell
// something as well: that they have not come back so soon (E. L. Kaplan & P. Meier, "Nonparametric estimation
// from incomplete observations", JASA 53, 1958). Leaving them out would take a pool that has just been
// started for one whose sessions hardly ever end.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "routing/ledger.h"
#include "routing/pauses.h"
#include "routing/session_table.h"

namespace limpet::health {

// What a pool has seen of its sessions. "Returned": their clients had come back at least once.
struct History {
  routing::PauseCounts pauses;
  uint64_t expired = 0, logged_out = 0;  // of returned sessions
  uint64_t unreturned_ended = 0;         // of the others, either way
  uint64_t came_back = 0;                // unreturned sessions that became returned ones
  uint64_t live_returned = 0;            // now

  static History from(const routing::Census& census, const routing::PauseCounts& pauses);
};

class PauseModel {
 public:
  // `idle`: for how long sessions of the pool have idled now, in seconds: those that have returned and do not
  // poll, all or a sample.
  PauseModel(const History& history, std::vector<uint32_t> idle);

  // The probability that a visit ends in a logout.
  double logout() const { return logout_; }
  // The probability that a session idles for longer than so many seconds, of those that idle at all; and the
  // seconds for a probability: infinite where it never gets so small.
  double longer_than(double seconds) const;
  double seconds_at(double probability) const;
  // The probability that a session whose client has not come back in so many seconds never does, where it is
  // given no more than `timeout`.
  double unreturned_ends(double idle, double timeout) const;

 private:
  struct Point {
    double seconds, longer;  // in between, linear
  };
  std::vector<Point> curve_;
  double logout_ = 0;
  double unreturned_ended_, came_back_;
};

}  // namespace limpet::health
