#include "src/status/path.h"

#include "conf/ascii.h"

namespace limpet::status {

namespace {

// In a query "+" is a space (the form's encoding, as browsers write it).
std::optional<std::string> decoded(std::string_view text, bool in_query) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && in_query) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

// Calls `take` with each part between separators; false as soon as it says so.
template <class Take>
bool split(std::string_view text, char separator, Take&& take) {
  for (;;) {
    const size_t end = text.find(separator);
    if (!take(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::optional<Path> Path::parse(std::string_view target) {
  if (target.empty() || target.front() != '/') return std::nullopt;
  const size_t mark = target.find('?');
  std::string_view path = target.substr(1, mark == std::string_view::npos ? mark : mark - 1);
  if (path.ends_with('/')) path.remove_suffix(1);

  Path parsed;
  const bool good = path.empty() || split(path, '/', [&](std::string_view part) {
                      std::optional<std::string> segment = decoded(part, false);
                      if (segment) parsed.segments.push_back(std::move(*segment));
                      return segment.has_value();
                    });
  if (!good) return std::nullopt;
  if (mark == std::string_view::npos) return parsed;

  const bool good_query = split(target.substr(mark + 1), '&', [&](std::string_view pair) {
    if (pair.empty()) return true;
    const size_t equals = pair.find('=');
    std::optional<std::string> name = decoded(pair.substr(0, equals), true);
    std::optional<std::string> value =
        decoded(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!name || !value) return false;
    parsed.query.emplace_back(std::move(*name), std::move(*value));
    return true;
  });
  if (!good_query) return std::nullopt;
  return parsed;
}

const std::string* Path::find(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string percent_encoded(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                            c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
    }
  }
  return out;
}

}  // namespace limpet::status
