// The date in a cookie's Expires attribute, as browsers read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace limpet::routing {

// Seconds of Unix time, by the forgiving algorithm of RFC 6265, section 5.1.1; nullopt where that fails.
std::optional<int64_t> parse_cookie_date(std::string_view text);

}  // namespace limpet::routing
