// When a draining backend will be empty: the pool's own history of pauses and endings, played on from where
// each of its sessions stands now (Monte Carlo with a fixed seed: the same input, the same forecast).
//
// Assumed, and so not foreseen: that all sessions of a pool are alike but for how long they have idled, that
// tomorrow is like what was counted since the process began, and that one that polls goes on to.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "health/pause_model.h"
#include "routing/session_table.h"

namespace limpet::health {

struct Forecast {
  // Returned sessions of the pool that have to have ended before anything is said of when others will: with a
  // hundred, the share of visits that are the last is known to one part in ten.
  static constexpr uint64_t kLeastEnds = 100;

  uint64_t sessions = 0;
  uint64_t polling = 0;   // of these: kept alive only by polling, so they do not end by themselves
  uint64_t ends = 0;      // that the pool has seen
  bool is_known = false;  // false: too few ends; what follows says nothing
  // Seconds from now until so many percent are gone; nothing: not before the deadline.
  std::optional<uint32_t> gone_50, gone_90, gone_99;
  uint64_t left_at_deadline = 0;  // to be expected
  uint32_t deadline = 0;          // seconds from now
};

// One sentence: "184 sessions left, 90 % gone in 14 min, 12 kept alive only by polling".
std::string text(const Forecast& forecast);

// Seconds; the first two of Unix time.
struct Horizon {
  uint32_t now = 0, deadline = 0;
  uint32_t idle_timeout = 0, unreturned_timeout = 0;  // the pool's
};

// `sessions`: those of the draining backend.
Forecast forecast(const History& history, std::span<const routing::SessionView> sessions,
                  const Horizon& horizon);

}  // namespace limpet::health
