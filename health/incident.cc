#include "health/incident.h"

#include <algorithm>

#include "conf/spelling.h"

namespace limpet::health {
namespace {

using routing::Event;

std::string sessions(uint64_t count) { return conf::counted(count, "session"); }

std::string why(const Incident& it) {
  std::string why = std::string(" (") + text(it.cause);
  if (!it.detail.empty()) why += ": " + it.detail;
  return why + ")";
}

std::string returned(const Incident& it) {
  return it.at_risk == 0 ? "" : " (" + std::to_string(it.at_risk_returned) + " returned)";
}

const char* standing(const Incident& it) {
  switch (it.kind) {
    case Incident::Kind::maintenance:
      return " is in maintenance";
    case Incident::Kind::restart:
      return " was restarted between two checks";
    case Incident::Kind::gone:
      return " is not in the file";
    default:
      return " is down";
  }
}

std::string opening(const Incident& it) {
  const std::string who = "incident " + std::to_string(it.id) + " opens: " + it.pool + "/" + it.backend;
  switch (it.kind) {
    case Incident::Kind::drain:
      return who + " drains" + why(it) + " with " + sessions(it.at_risk) + returned(it);
    case Incident::Kind::lapse:
      return who + " loses sessions though it is in service: " + std::to_string(it[Event::lost]) + " lost, " +
             std::to_string(it[Event::carried]) + " carried";
    default:
      return who + standing(it) + why(it) + " with " + sessions(it.at_risk) + " at risk" + returned(it);
  }
}

std::string widening(const Incident& it) {
  return "incident " + std::to_string(it.id) + " widens: " + it.pool + "/" + it.backend + standing(it) +
         why(it) + " with " + sessions(it.left) + " at risk after " + std::to_string(it[Event::lost]) +
         " lost, " + std::to_string(it[Event::carried]) + " carried";
}

std::string returning(const Incident& it) {
  return "incident " + std::to_string(it.id) + ": " + it.pool + "/" + it.backend + " is back after " +
         conf::duration_words(std::max(it.back - it.opened, 1u)) + "; " + sessions(it.left) +
         (it.left == 1 ? " is" : " are") + " at risk until it has answered; " +
         std::to_string(it[Event::lost]) + " lost so far";
}

// What became of the sessions, in the order of what an operator minds; lost is said even when it is none.
std::string outcome(const Incident& it) {
  std::string line = std::to_string(it[Event::lost]) + " lost";
  if (it[Event::confirmed] > 0) line += " (" + std::to_string(it[Event::confirmed]) + " confirmed)";
  if (it[Event::restarted] > 0) line += " (" + std::to_string(it[Event::restarted]) + " by a restart)";
  const auto add = [&line](uint64_t count, const char* what) {
    if (count > 0) line += ", " + std::to_string(count) + " " + what;
  };
  add(it[Event::carried], "carried");
  add(it[Event::recovered], "recovered");
  add(it[Event::abandoned], "abandoned");
  add(ended_by_themselves(it.books.all), "ended by themselves");
  add(gone_otherwise(it.books.all), "gone otherwise");
  add(it.left, it.end == Incident::End::deadline  ? "cut at the deadline"
               : it.kind == Incident::Kind::drain ? "still there"
                                                  : "still at risk");
  return line;
}

std::string closing(const Incident& it) {
  const uint32_t lasted = it.closed - it.opened;
  std::string line = "incident " + std::to_string(it.id) + " closes " +
                     (lasted == 0 ? "at once" : "after " + conf::duration_words(lasted)) + ": " + it.pool +
                     "/" + it.backend + " (" + text(it.kind) + ", " + text(it.end) + "); of " +
                     sessions(it.at_risk) + returned(it);
  if (it.joined > 0) line += " and " + std::to_string(it.joined) + " that joined";
  return line + ": " + outcome(it) + "; requests: " + std::to_string(it.requests_failed) + " failed, " +
         std::to_string(it.requests_retried) + " retried";
}

}  // namespace

uint64_t ended_by_themselves(const routing::Tally& tally) {
  return tally[Event::expired] + tally[Event::logged_out];
}

uint64_t sum_of(const routing::Tally& tally) {
  return tally[Event::lost] + tally[Event::carried] + tally[Event::recovered] + tally[Event::abandoned] +
         ended_by_themselves(tally) + gone_otherwise(tally);
}

uint64_t gone_otherwise(const routing::Tally& tally) {
  return tally[Event::unbound] + tally[Event::evicted] + tally[Event::moved] + tally[Event::reassigned];
}

const char* text(Incident::Kind kind) {
  constexpr const char* kNames[] = {"outage", "maintenance", "drain", "lapse", "restart", "gone"};
  return kNames[static_cast<size_t>(kind)];
}

const char* text(Incident::End end) {
  constexpr const char* kNames[] = {"open", "settled", "back", "deadline", "interrupted"};
  return kNames[static_cast<size_t>(end)];
}

bool is_routine(const Notice& notice) {
  const Incident& it = notice.incident;
  const bool wanted = it.kind == Incident::Kind::drain ||
                      (it.kind == Incident::Kind::maintenance && it.cause == Cause::order);
  const bool cut = it.end == Incident::End::deadline && it.left > 0;
  return wanted && !cut && it[Event::lost] == 0;
}

std::string text(const Notice& notice) {
  switch (notice.what) {
    case Notice::What::opened:
      return opening(notice.incident);
    case Notice::What::widened:
      return widening(notice.incident);
    case Notice::What::back:
      return returning(notice.incident);
    case Notice::What::closed:
      break;
  }
  return closing(notice.incident);
}

}  // namespace limpet::health
