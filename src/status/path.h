// The target of a request to the status endpoint, taken apart. Names, keys and tokens may hold any bytes, so
// each segment is decoded by itself, after the path was split.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::status {

struct Path {
  std::vector<std::string> segments;  // "/pools/a%2Fb" is {"pools", "a/b"}; "/" is {}
  std::vector<std::pair<std::string, std::string>> query;

  // nullopt: a percent sign that no two hexadecimal digits follow, or no path at all.
  static std::optional<Path> parse(std::string_view target);

  // The first of that name; nullptr when there is none.
  const std::string* find(std::string_view name) const;
};

// For a segment or a query's value: all but RFC 3986's unreserved characters as %XX.
std::string percent_encoded(std::string_view text);

}  // namespace limpet::status
