// Sizes and durations as people write them: "32KiB", "1m30s".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "conf/settings.h"

namespace limpet::conf {

// One whole number and one unit: B, KB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024), in any case.
// nullopt: not a size, or 2^63 bytes and more.
std::optional<uint64_t> parse_size(std::string_view text);

// Whole numbers, each with one of the units d, h, m, s, ms, the largest first and none twice. nullopt: not a
// duration, or more than 2^63 ms.
std::optional<Duration> parse_duration(std::string_view text);

// What the functions above read back as the same value. Not negative.
std::string size_text(uint64_t bytes);
std::string duration_text(Duration);

}  // namespace limpet::conf
