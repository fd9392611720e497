// Path prefixes of whole segments, as the settings have them: in their normal form.
#pragma once

#include <string>
#include <string_view>

namespace limpet::routing {

// "/app" is the prefix of "/app", "/app/x", "/app?x" and "/app;x", not of "/apple". `prefix` does not end in
// "/": as_prefix() sees to that, and makes "/", which is every path's, empty.
inline bool begins_with_segments(std::string_view target, std::string_view prefix) {
  if (!target.starts_with(prefix)) return false;
  return target.size() == prefix.size() ||
         std::string_view("/?;").find(target[prefix.size()]) != std::string_view::npos;
}

inline std::string as_prefix(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

}  // namespace limpet::routing
