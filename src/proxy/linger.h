// After the last answer on a connection: how long, and how many bytes, to go on reading before it is closed,
// so that what was sent is not lost to a reset (RFC 9112, section 9.6).
#pragma once

#include <cstddef>

#include "src/net/deadlines.h"

namespace limpet::proxy {

inline constexpr net::Millis kLinger = 2000;
inline constexpr size_t kMostLingered = 16 * 1024 * 1024;

}  // namespace limpet::proxy
