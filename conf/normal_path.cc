#include "conf/normal_path.h"

#include "conf/ascii.h"

namespace limpet::conf {

namespace {

// The octet that is percent-encoded at `at`; -1: none is.
int encoded_octet(std::string_view path, size_t at) {
  if (path[at] != '%' || at + 2 >= path.size()) return -1;
  const int high = hex_value(path[at + 1]), low = hex_value(path[at + 2]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

// RFC 3986, section 2.3.
bool is_unreserved(int octet) {
  const auto c = static_cast<char>(octet);
  return octet > 0 && octet < 0x7f &&
         (is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~');
}

bool is_normal(std::string_view path) {
  char before = 0;
  for (const char c : path) {
    if (c == '%' || (before == '/' && (c == '/' || c == '.'))) return false;
    before = c;
  }
  return true;
}

std::string decoded(std::string_view path) {
  std::string out;
  for (size_t at = 0; at < path.size(); ++at) {
    const int octet = encoded_octet(path, at);
    if (!is_unreserved(octet)) {
      out += path[at];
      continue;
    }
    out += static_cast<char>(octet);
    at += 2;
  }
  return out;
}

}  // namespace

std::string_view normal_path(std::string_view target, std::string& room) {
  const std::string_view path = path_of(target);
  if (!path.starts_with('/')) return "/";
  if (is_normal(path)) return path;
  const std::string whole = decoded(path);
  room.clear();
  bool ends_in_slash = false;
  for (size_t at = 0; at < whole.size();) {
    size_t end = whole.find('/', at);
    if (end == std::string::npos) end = whole.size();
    const std::string_view segment = std::string_view(whole).substr(at, end - at);
    const std::string_view name = segment.substr(0, segment.find(';'));
    const bool is_dots = name == "." || name == "..";
    if (name == "..") room.resize(room.empty() ? 0 : room.rfind('/'));
    if (!segment.empty() && !is_dots) room.append("/").append(segment);
    ends_in_slash = segment.empty() || is_dots;
    at = end + 1;
    if (end == whole.size()) break;
    if (at == whole.size()) ends_in_slash = true;
  }
  if (ends_in_slash || room.empty()) room += '/';
  return room;
}

bool is_ambiguous(std::string_view target) {
  const std::string_view path = path_of(target);
  for (size_t at = 0; at < path.size(); ++at) {
    const int octet = encoded_octet(path, at);
    if (path[at] == '\\' || octet == '/' || octet == '\\' || octet == 0) return true;
  }
  return false;
}

}  // namespace limpet::conf
