// Field lines, of a head or a trailer section, by llhttp (RFC 9112, section 5).
#pragma once

#include <string_view>

#include "src/http/head.h"

namespace limpet::http {

// Adds what stands in `lines`, which find_head() has found to be whole and which end in an empty line; views
// into them. False when one of them is no field line.
bool read_fields(std::string_view lines, Fields& out);

}  // namespace limpet::http
