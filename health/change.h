// A backend's change of state, and why: what health tells everybody else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "routing/fleet.h"

namespace limpet::health {

using Millis = uint64_t;  // milliseconds of any monotonic clock, passed in
using routing::BackendState;
using routing::Slot;

// Why a backend is in its state. Beside each, what the detail says.
enum class Cause : uint8_t {
  start,          // nobody has said anything yet
  checks,         // down: what was asked, and what was wrong with the last answer; up: where no checks are
                  // configured, what brought it back
  requests,       // failed, and none was answered: of how many clients, and what was wrong with the last
  order,          // who gave it; down: it is to be up, and its checks have yet to pass
  answer,         // of a check, which asks for draining: that answer
  reload,         // the file does not name it any more, or does again
  drained,        // its drain is over: no session was left; who or what asked for the drain
  drain_timeout,  // the same, with sessions left
};
const char* text(Cause);  // the name above, as reports have it

// Whether a state is one in which a backend serves its own sessions; in the others they are at risk.
constexpr bool in_service(BackendState state) {
  return state == BackendState::up || state == BackendState::draining;
}

struct Change {
  BackendState from{}, to{};
  Cause cause{};  // of `to`
  std::string detail;
};
using Changed = std::optional<Change>;  // nothing: the state is what it was

}  // namespace limpet::health
