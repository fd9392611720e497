// Names are unique, and what refers to one finds it.
#include <map>

#include "conf/checks.h"
#include "conf/spelling.h"

namespace limpet::conf {
namespace {

// The values of `key` in the rows of `list` that are known to be what the operator meant.
template <class Row, class Get>
std::vector<Placed> values_of(std::string_view list, const std::vector<Row>& rows, std::string_view key,
                              const Findings& findings, Get get) {
  std::vector<Placed> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::string path = indexed(list, i) + "." + std::string(key);
    if (findings.given(path) && !findings.broken(path)) out.push_back({std::move(path), get(rows[i])});
  }
  return out;
}

void check_reference(const std::string& path, const std::string& name, std::string_view what,
                     const std::vector<Placed>& known, size_t rows, Findings& findings) {
  std::vector<std::string> names;
  for (const Placed& each : known) {
    if (each.value == name) return;
    names.push_back(each.value);
  }
  if (names.size() != rows) return;  // it may be one of those whose names have faults
  findings.fault(path,
                 "no " + std::string(what) + " is called " + in_quotes(name) + ", " + hint(name, names, '"'));
}

void check_listeners(const Settings& settings, Findings& findings) {
  const auto& listeners = settings.listeners;
  for (size_t i = 0; listeners.size() > 1 && i < listeners.size(); ++i) {
    const std::string path = indexed("listener", i) + ".name";
    if (findings.given(path)) continue;
    findings.fault(path, "is missing, accepted: a name for each of several listeners");
  }
  // SO_REUSEPORT would let both bind, and the kernel would deal connections out between them. Port 0 is never
  // the same twice.
  std::vector<Placed> addresses = values_of("listener", listeners, "address", findings,
                                            [](const Listener& l) { return l.address.text(); });
  std::erase_if(addresses, [](const Placed& each) { return each.value.ends_with(":0"); });
  refuse_repeats(addresses, "each address once", findings);
}

// Where a pool has one backend only, there is nobody to name: check_pools says so.
void check_backups(const std::string& list, const std::vector<Backend>& backends, Findings& findings) {
  if (backends.size() < 2) return;
  const auto names =
      values_of(list, backends, "name", findings, [](const Backend& each) { return each.name; });
  for (size_t i = 0; i < backends.size(); ++i) {
    const std::string& backup = backends[i].backup;
    const std::string row = indexed(list, i), path = row + ".backup";
    if (backup.empty() || findings.broken(path)) continue;
    auto others = names;
    std::erase_if(others, [&](const Placed& each) { return each.path == row + ".name"; });
    if (backup == backends[i].name) {
      findings.fault(path, "is the backend itself, accepted: another backend of the pool");
    } else {
      check_reference(path, backup, "other backend of the pool", others, backends.size() - 1, findings);
    }
  }
}

}  // namespace

void refuse_repeats(const std::vector<Placed>& values, std::string_view accepted, Findings& findings) {
  std::map<std::string_view, const Placed*> seen;
  for (const Placed& each : values) {
    const auto [first, is_new] = seen.emplace(each.value, &each);
    if (is_new) continue;
    const std::string& path = first->second->path;
    findings.fault(each.path, "is the same as " + path + " in line " +
                                  std::to_string(findings.position(path).line) +
                                  ", accepted: " + std::string(accepted));
  }
}

void check_names(const Settings& settings, Findings& findings) {
  const auto name = [](const auto& row) { return row.name; };
  const auto pools = values_of("pool", settings.pools, "name", findings, name);
  auto listeners = values_of("listener", settings.listeners, "name", findings, name);
  refuse_repeats(pools, "each name once", findings);
  refuse_repeats(listeners, "each name once", findings);
  for (size_t i = 0; i < settings.pools.size(); ++i) {
    const std::string list = indexed("pool", i) + ".backend";
    refuse_repeats(values_of(list, settings.pools[i].backends, "name", findings, name),
                   "each name once in a pool", findings);
    check_backups(list, settings.pools[i].backends, findings);
  }
  check_listeners(settings, findings);

  if (listeners.empty() && settings.listeners.size() == 1) {
    listeners.push_back({"", settings.listeners[0].name});
  }
  for (size_t i = 0; i < settings.routes.size(); ++i) {
    const Route& route = settings.routes[i];
    const std::string pool = indexed("route", i) + ".pool", listener = indexed("route", i) + ".listener";
    if (findings.given(pool) && !findings.broken(pool)) {
      check_reference(pool, route.pool, "pool", pools, settings.pools.size(), findings);
    }
    if (!route.listener.empty() && !findings.broken(listener)) {
      check_reference(listener, route.listener, "listener", listeners, settings.listeners.size(), findings);
    }
  }
}

}  // namespace limpet::conf
