// Trace Context (W3C Recommendation, 23 November 2021): which trace a request belongs to.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/http/head.h"

namespace limpet::http {

// The trace id in the value of a traceparent field; empty where that is not valid.
std::string_view trace_id_of(std::string_view traceparent);

// Of a request; empty where it has none, or none that is valid, or several.
std::string_view trace_id(const Fields& fields);

// The beginning of a trace that nobody has recorded yet. By random numbers: two for the trace's id, one for
// the parent's.
std::string new_traceparent(const std::array<uint64_t, 3>& random);

}  // namespace limpet::http
