#include "conf/findings.h"

#include <algorithm>
#include <tuple>

namespace limpet::conf {

std::string Fault::text() const {
  std::string out = file + ":";
  if (line != 0) out += std::to_string(line) + ":" + std::to_string(column) + ":";
  if (!key.empty()) out += " " + key + ":";
  return out + " " + message;
}

Position Findings::position(std::string path) const {
  while (true) {
    if (const auto at = positions_.find(path); at != positions_.end()) return at->second;
    const size_t cut = path.find_last_of(".[");
    if (cut == path.npos) return {};
    path.resize(cut);
  }
}

void Findings::fault(const std::string& path, std::string message) {
  const Position at = position(path);
  faults_.push_back({file_, at.line, at.column, path, std::move(message)});
  for (size_t end = path.find_first_of(".["); end != path.npos; end = path.find_first_of(".[", end + 1))
    broken_.insert(path.substr(0, end));
  broken_.insert(path);
}

Faults Findings::take() {
  std::stable_sort(faults_.begin(), faults_.end(), [](const Fault& a, const Fault& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  return std::move(faults_);
}

}  // namespace limpet::conf
