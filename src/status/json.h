// The report as JSON: version 1 of what GET /status and its parts answer. docs/status.md says what each field
// means. Within a version fields may be added; none changes its meaning, and none goes.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "src/status/report.h"

namespace limpet::status {

using Json = nlohmann::ordered_json;

inline constexpr int kVersion = 1;

Json to_json(const Report& report);
Json to_json(const ListenerReport& listener);
Json to_json(const PoolReport& pool);
Json to_json(const BackendReport& backend);
Json to_json(const health::Incident& incident);
Json to_json(const SessionReport& session);
Json to_json(const std::vector<health::Incident>& incidents);

// In one line, with its end. What is no UTF-8 is replaced: names and details may hold anything.
std::string written(const Json& json);

}  // namespace limpet::status
