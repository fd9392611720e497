// Adds up what the workers counted.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "health/evidence.h"
#include "routing/fleet.h"
#include "routing/session_table.h"
#include "src/proxy/meters.h"
#include "src/status/report.h"

namespace limpet::status {

using Meters = std::vector<std::shared_ptr<proxy::PoolMeter>>;  // by worker

RequestReport requests_at(const Meters& meters, routing::Slot slot);
// The part of it that is looked at all the time.
struct Outcomes {
  uint64_t answered = 0, failed = 0, retried = 0;
  uint64_t in_flight = 0;
};
Outcomes outcomes_at(const Meters& meters, routing::Slot slot);
health::Answered last_answered(const Meters& meters, routing::Slot slot);
RequestReport requests_of_all(const Meters& meters, size_t backends);  // at as many slots
void add_decisions(const Meters& meters, PoolReport& pool);

// Why a session lives at its home, which is in that state, for people.
std::string why_there(const routing::SessionView& session, const routing::Fleet& fleet,
                      routing::BackendState state);

}  // namespace limpet::status
