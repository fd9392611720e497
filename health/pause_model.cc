#include "health/pause_model.h"

#include <algorithm>
#include <limits>

namespace limpet::health {

using routing::Event;
using routing::PauseCounts;

History History::from(const routing::Census& census, const PauseCounts& pauses) {
  const auto& [all, returned] = census.books;
  History history;
  history.pauses = pauses;
  history.expired = returned[Event::expired];
  history.logged_out = returned[Event::logged_out];
  history.unreturned_ended =
      all[Event::expired] + all[Event::logged_out] - history.expired - history.logged_out;
  history.came_back = census.live_returned + returned.ended() - returned.begun();
  history.live_returned = census.live_returned;
  return history;
}

PauseModel::PauseModel(const History& history, std::vector<uint32_t> idle)
    : unreturned_ended_(static_cast<double>(history.unreturned_ended)),
      came_back_(static_cast<double>(history.came_back)) {
  std::sort(idle.begin(), idle.end());
  const double idle_now = static_cast<double>(history.live_returned);
  const double weight = idle.empty() ? 0 : idle_now / static_cast<double>(idle.size());
  const auto idle_beyond = [&](uint32_t seconds) {
    return weight * static_cast<double>(idle.end() - std::lower_bound(idle.begin(), idle.end(), seconds));
  };
  double beyond = static_cast<double>(history.expired);  // that idled for longer than where the loop is
  for (const uint64_t count : history.pauses.counts) beyond += static_cast<double>(count);
  const double visits = beyond + idle_now + static_cast<double>(history.logged_out);
  if (visits > 0) logout_ = static_cast<double>(history.logged_out) / visits;

  double longer = 1;
  for (size_t code = 0; code < PauseCounts::kCodes; ++code) {
    const uint32_t from = routing::pause_seconds(static_cast<uint8_t>(code));
    if (from < routing::kShortestPause || routing::pause_code(from) != code) continue;  // no pause has it
    const uint32_t to = routing::pause_seconds(static_cast<uint8_t>(code + 1));
    const double count = static_cast<double>(history.pauses.counts[code]);
    const double at_risk = beyond + (idle_beyond(from) + idle_beyond(to)) / 2;
    curve_.push_back({static_cast<double>(from), longer});
    if (at_risk > 0) longer *= 1 - count / at_risk;
    beyond -= count;
    if (code + 1 == PauseCounts::kCodes) curve_.push_back({static_cast<double>(to), longer});
  }
}

double PauseModel::longer_than(double seconds) const {
  const auto after = std::upper_bound(curve_.begin(), curve_.end(), seconds,
                                      [](double value, const Point& point) { return value < point.seconds; });
  if (after == curve_.begin()) return 1;
  if (after == curve_.end()) return curve_.back().longer;
  const Point &from = after[-1], &to = *after;
  return from.longer + (to.longer - from.longer) * (seconds - from.seconds) / (to.seconds - from.seconds);
}

double PauseModel::seconds_at(double probability) const {
  const auto after = std::lower_bound(curve_.begin(), curve_.end(), probability,
                                      [](const Point& point, double value) { return point.longer > value; });
  if (after == curve_.end()) return std::numeric_limits<double>::infinity();
  if (after == curve_.begin()) return after->seconds;
  const Point &from = after[-1], &to = *after;
  return from.seconds + (to.seconds - from.seconds) * (from.longer - probability) / (from.longer - to.longer);
}

double PauseModel::unreturned_ends(double idle, double timeout) const {
  const double never = longer_than(timeout);
  const double still = never < 1 ? (longer_than(std::min(idle, timeout)) - never) / (1 - never) : 0;
  const double weight = unreturned_ended_ + came_back_ * still;
  return weight > 0 ? unreturned_ended_ / weight : 1;
}

}  // namespace limpet::health
