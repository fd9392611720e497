#include "src/reload.h"

#include <algorithm>

namespace limpet {
namespace {

template <class Row>
const Row* find(const std::vector<Row>& rows, const std::string& name) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

}  // namespace

std::vector<std::string> needs_restart(const conf::Settings& now, const conf::Settings& next) {
  std::vector<std::string> keys;
  const auto note = [&](bool changed, std::string key) {
    if (changed) keys.push_back(std::move(key));
  };
  note(next.workers != now.workers, "workers");
  note(next.secrets != now.secrets, "secrets");
  note(next.status != now.status, "status");
  note(next.log.access != now.log.access, "log.access");
  note(next.log.access_format != now.log.access_format, "log.access_format");
  for (const conf::Listener& listener : next.listeners) {
    const conf::Listener* const known = find(now.listeners, listener.name);
    note(known && known->address != listener.address, "listener " + listener.name + ": address");
  }
  // Another kind of key finds none of the sessions that are known.
  for (const conf::Pool& pool : next.pools) {
    const conf::Pool* const known = find(now.pools, pool.name);
    note(known && known->affinity != pool.affinity, "pool " + pool.name + ": affinity");
  }
  return keys;
}

}  // namespace limpet
