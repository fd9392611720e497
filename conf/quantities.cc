#include "conf/quantities.h"

#include <charconv>
#include <limits>
#include <span>

#include "conf/ascii.h"

namespace limpet::conf {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

constexpr Unit kSizeUnits[] = {{"GiB", GiB}, {"GB", 1'000'000'000}, {"MiB", MiB}, {"MB", 1'000'000},
                               {"KiB", KiB}, {"KB", 1'000},         {"B", 1}};
constexpr Unit kTimeUnits[] = {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};

// What a TOML integer and a Duration can hold.
constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();

// Takes a number with its unit from the front of `text`. nullopt: there is none, or it is beyond kMost.
struct Quantity {
  uint64_t value;
  const Unit* unit;
};
template <class SameName>
std::optional<Quantity> take_quantity(std::string_view& text, std::span<const Unit> units, SameName same) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));

  const std::string_view name = text.substr(0, text.find_first_of(" 0123456789"));
  for (const Unit& unit : units) {
    if (!same(name, unit.name)) continue;
    if (number > kMost / unit.factor) return std::nullopt;
    text.remove_prefix(name.size());
    return Quantity{number * unit.factor, &unit};
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  const auto size = take_quantity(text, kSizeUnits, equals_ignoring_case);
  if (!size || !text.empty()) return std::nullopt;
  return size->value;
}

std::optional<Duration> parse_duration(std::string_view text) {
  uint64_t total = 0;
  const Unit* last = nullptr;
  do {
    const auto part = take_quantity(text, kTimeUnits, std::equal_to<std::string_view>());
    if (!part || (last && part->unit <= last) || part->value > kMost - total) return std::nullopt;
    total += part->value;
    last = part->unit;
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  } while (!text.empty());
  return Duration(static_cast<Duration::rep>(total));
}

std::string size_text(uint64_t bytes) {
  for (const Unit& unit : kSizeUnits) {
    if (bytes != 0 && bytes % unit.factor == 0)
      return std::to_string(bytes / unit.factor) + std::string(unit.name);
  }
  return "0B";
}

std::string duration_text(Duration duration) {
  auto left = static_cast<uint64_t>(duration.count());
  if (left == 0) return "0s";
  std::string out;
  for (const Unit& unit : kTimeUnits) {
    if (left >= unit.factor) out += std::to_string(left / unit.factor) + std::string(unit.name);
    left %= unit.factor;
  }
  return out;
}

}  // namespace limpet::conf
