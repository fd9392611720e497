// How another reader would take a path: the reference that normal_path() is held against.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace limpet::test {

// A plain second reading: splits first, decodes each segment, then walks.
inline std::string second_reading(const std::string& target) {
  const std::string path = target.substr(0, target.find('?'));
  std::vector<std::string> kept;
  bool directory = true;
  size_t at = 1;
  while (at <= path.size()) {
    const size_t end = std::min(path.find('/', at), path.size());
    std::string segment;
    for (size_t i = at; i < end; ++i) {
      static const std::string kHex = "0123456789abcdef";
      const auto digit = [&](size_t where) {
        return where < end
                   ? kHex.find(static_cast<char>(std::tolower(static_cast<unsigned char>(path[where]))))
                   : std::string::npos;
      };
      const size_t high = digit(i + 1), low = digit(i + 2);
      const bool is_hex = path[i] == '%' && high != std::string::npos && low != std::string::npos;
      const char octet = is_hex ? static_cast<char>(high * 16 + low) : '/';
      if (is_hex && (std::isalnum(static_cast<unsigned char>(octet)) ||
                     std::string("-._~").find(octet) != std::string::npos)) {
        segment += octet;
        i += 2;
      } else {
        segment += path[i];
      }
    }
    const std::string name = segment.substr(0, segment.find(';'));
    directory = segment.empty() || name == "." || name == "..";
    if (name == ".." && !kept.empty()) kept.pop_back();
    if (!directory) kept.push_back(segment);
    at = end + 1;
  }
  std::string out;
  for (const std::string& segment : kept) out += "/" + segment;
  return directory || out.empty() ? out + "/" : out;
}

}  // namespace limpet::test
