#include "conf/reader.h"

namespace limpet::conf {

void At::fault(std::string_view what, const std::string& accepted) const {
  findings.fault(path, std::string(what) + (what.ends_with('?') ? " " : ", ") + "accepted: " + accepted);
}

void report_unknown_key(const Entry& entry, const std::string& prefix, const std::vector<std::string>& known,
                        Findings& findings) {
  const std::string path = prefix + shown(entry.key);
  findings.record(path, entry.at);
  findings.fault(path, "unknown key, " + hint(entry.key, known, '`'));
}

}  // namespace limpet::conf
