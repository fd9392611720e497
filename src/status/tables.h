// What the commands show of the endpoint's JSON. Throws what nlohmann-json throws where that is not what it
// should be.
#pragma once

#include <string>

#include "src/status/json.h"

namespace limpet::status {

std::string status_table(const Json& status);               // of GET /status
std::string incidents_table(const Json& incidents);         // of GET /incidents
std::string session_lines(const Json& found, int64_t now);  // of GET /sessions/{session}

// A draining backend in one line: a bar, what is left, the forecast. At most `width` characters.
std::string drain_line(const Json& backend, int64_t now, size_t width);

// One that is to come up, in one line: what it waits for, and for how long. At most `width` characters.
std::string waiting_line(const Json& backend, int64_t now, size_t width);

}  // namespace limpet::status
