// Adds up what the workers counted.
#pragma once

#include <memory>
#include <vector>

#include "src/proxy/meters.h"
#include "src/status/report.h"

namespace limpet::status {

using Meters = std::vector<std::shared_ptr<proxy::PoolMeter>>;  // by worker

RequestReport requests_at(const Meters& meters, routing::Slot slot);
void add_decisions(const Meters& meters, PoolReport& pool);

HistogramReport since(const HistogramReport& earlier, const HistogramReport& now);

}  // namespace limpet::status
