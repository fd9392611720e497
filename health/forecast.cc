#include "health/forecast.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "conf/spelling.h"
#include "routing/random.h"
#include "routing/seconds.h"

namespace limpet::health {
namespace {

using routing::SessionView;

// The 90 % mark of so many draws is between their 88th and 92nd percentile.
constexpr size_t kDraws = 600;
constexpr double kNever = std::numeric_limits<double>::infinity();

// The lives of sessions from now on. Times are seconds from now.
class Player {
 public:
  Player(const PauseModel& model, const Horizon& horizon)
      : model_(model), horizon_(horizon), limit_(routing::elapsed(horizon.now, horizon.deadline)) {}

  // When the session is gone; beyond the deadline: never.
  double gone(const SessionView& session) {
    if (session.polls) return kNever;
    const double idle = routing::elapsed(session.last_seen, horizon_.now);
    if (!session.returned) return gone_unreturned(idle);
    const double timeout = horizon_.idle_timeout;
    const double pause = model_.seconds_at(uniform() * model_.longer_than(std::min(idle, timeout)));
    return pause > timeout ? cut(timeout - idle) : gone_after_visit(pause - idle);
  }

 private:
  double uniform() { return static_cast<double>(random_.next() >> 11) * 0x1p-53; }
  double cut(double at) const { return at > limit_ ? kNever : std::max(at, 0.0); }

  double gone_unreturned(double idle) {
    const double timeout = horizon_.unreturned_timeout;
    if (uniform() < model_.unreturned_ends(idle, timeout)) return cut(timeout - idle);
    const double least = model_.longer_than(timeout), most = model_.longer_than(std::min(idle, timeout));
    return gone_after_visit(model_.seconds_at(least + uniform() * (most - least)) - idle);
  }

  double gone_after_visit(double at) {
    while (at <= limit_) {
      if (uniform() < model_.logout()) return cut(at);
      const double pause = model_.seconds_at(uniform());
      if (pause > horizon_.idle_timeout) return cut(at + horizon_.idle_timeout);
      at += pause;
    }
    return kNever;
  }

  const PauseModel& model_;
  const Horizon& horizon_;
  const double limit_;
  routing::Random random_{1};
};

// All sessions equally often, or a sample at even distances, in the order that they came.
std::vector<double> play(Player player, std::span<const SessionView> sessions) {
  const size_t rounds = std::max<size_t>(kDraws / sessions.size(), 1);
  const size_t each = std::min(sessions.size(), kDraws);
  std::vector<double> gone;
  gone.reserve(rounds * each);
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < each; ++i) gone.push_back(player.gone(sessions[i * sessions.size() / each]));
  }
  std::sort(gone.begin(), gone.end());
  return gone;
}

std::optional<uint32_t> at_percent(const std::vector<double>& gone, size_t percent) {
  const double at = gone[(gone.size() * percent + 99) / 100 - 1];
  if (at == kNever) return {};
  return static_cast<uint32_t>(std::ceil(at));
}

// To two or three digits: it is a forecast.
std::string about(uint32_t seconds) {
  constexpr uint32_t kMinute = 60, kHour = 3600;
  const uint32_t unit = seconds < 2 * kMinute ? 1 : seconds < 2 * kHour ? kMinute : kHour;
  return conf::duration_words((seconds + unit / 2) / unit * unit);
}

}  // namespace

Forecast forecast(const History& history, std::span<const SessionView> sessions, const Horizon& horizon) {
  Forecast result;
  result.sessions = sessions.size();
  result.deadline = routing::elapsed(horizon.now, horizon.deadline);
  result.ends = history.expired + history.logged_out;
  std::vector<uint32_t> idle;
  for (const SessionView& session : sessions) {
    if (session.polls) ++result.polling;
    if (session.returned && !session.polls) idle.push_back(routing::elapsed(session.last_seen, horizon.now));
  }
  result.is_known = result.ends >= Forecast::kLeastEnds || result.polling == result.sessions;
  if (!result.is_known || sessions.empty()) return result;

  const PauseModel model(history, std::move(idle));
  const std::vector<double> gone = play(Player(model, horizon), sessions);
  result.gone_50 = at_percent(gone, 50);
  result.gone_90 = at_percent(gone, 90);
  result.gone_99 = at_percent(gone, 99);
  const auto never = static_cast<double>(std::count(gone.begin(), gone.end(), kNever));
  result.left_at_deadline = static_cast<uint64_t>(
      std::lround(never * static_cast<double>(sessions.size()) / static_cast<double>(gone.size())));
  return result;
}

std::string text(const Forecast& it) {
  if (it.sessions == 0) return "no sessions left";
  std::string line = conf::counted(it.sessions, "session") + " left";
  if (it.is_known) {
    if (it.gone_90) {
      line += ", 90 % gone in " + about(*it.gone_90);
    } else {
      if (it.gone_50) line += ", 50 % gone in " + about(*it.gone_50);
      line += ", about " + std::to_string(it.left_at_deadline) + " still there at the deadline in " +
              about(it.deadline);
    }
  }
  if (it.polling > 0) line += ", " + std::to_string(it.polling) + " kept alive only by polling";
  if (!it.is_known) {
    line += " (no forecast until " + std::to_string(Forecast::kLeastEnds) +
            " sessions have ended: " + std::to_string(it.ends) + " so far)";
  }
  return line;
}

}  // namespace limpet::health
