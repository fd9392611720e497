// The report as Prometheus metrics; docs/status.md lists them.
#pragma once

#include <string>

#include "src/status/report.h"

namespace limpet::status {

std::string metrics(const Report& report);

}  // namespace limpet::status
