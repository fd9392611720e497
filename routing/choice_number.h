// Which of a session's homes one is: each move counts one up, and of two balancers that disagree the one with
// the later number is right. No clock takes part.
#pragma once

#include <cstdint>

namespace limpet::routing {

// Numbers go round (RFC 1982): of two that are less than 2^15 apart the later is known.
constexpr bool is_later(uint16_t number, uint16_t than) {
  return static_cast<int16_t>(static_cast<uint16_t>(number - than)) > 0;
}

}  // namespace limpet::routing
