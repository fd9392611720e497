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

// The duration, in microseconds, that so many hundredths of what happened since `earlier` did not exceed: the
// bound of a bucket, so up to twice the truth. 0 where nothing happened.
uint64_t percentile_us(const HistogramReport& now, const HistogramReport& earlier, unsigned percent);

}  // namespace limpet::status
