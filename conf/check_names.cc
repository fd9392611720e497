// Names are unique, and what refers to one finds it.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "conf/checks.h"
#include "conf/spelling.h"

namespace limpet::conf {
namespace {

// Where more names than these find nothing they have one cause, and what each was meant for is not looked
// for: that would take as long as there are pairs of a reference and a name.
constexpr size_t kMostHints = 20;

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

// What references of one kind may name.
class Targets {
 public:
  Targets(std::string_view what, const std::vector<Placed>& known) : what_(what) {
    for (const Placed& each : known) names_.push_back(each.value);
    set_.insert(names_.begin(), names_.end());
  }

  // `rows`: how many there are with those whose names have faults, for `name` may be meant for one of these.
  // `own`: who refers, where that is one of them.
  void check(const std::string& path, const std::string& name, size_t rows, Findings& findings,
             std::string_view own = "") {
    if (set_.contains(name) || names_.size() != rows) return;
    const std::string wrong = "no " + what_ + " is called " + in_quotes(name) + ", ";
    if (++unknown_ > kMostHints) return findings.fault(path, wrong + "accepted: a name that is in the file");
    if (own.empty()) return findings.fault(path, wrong + hint(name, names_, '"'));
    std::vector<std::string> others = names_;
    others.erase(std::find(others.begin(), others.end(), own));
    findings.fault(path, wrong + hint(name, others, '"'));
  }

 private:
  const std::string what_;
  std::vector<std::string> names_;
  std::unordered_set<std::string> set_;
  size_t unknown_ = 0;  // names so far
};

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
  Targets targets("other backend of the pool",
                  values_of(list, backends, "name", findings, [](const Backend& each) { return each.name; }));
  for (size_t i = 0; i < backends.size(); ++i) {
    const std::string& backup = backends[i].backup;
    const std::string row = indexed(list, i), path = row + ".backup", name = row + ".name";
    if (backup.empty() || findings.broken(path)) continue;
    if (backup == backends[i].name) {
      findings.fault(path, "is the backend itself, accepted: another backend of the pool");
    } else {
      const bool is_known = findings.given(name) && !findings.broken(name);
      targets.check(path, backup, is_known ? backends.size() : backends.size() - 1, findings,
                    is_known ? backends[i].name : "");
    }
  }
}

}  // namespace

void refuse_repeats(const std::vector<Placed>& values, std::string_view accepted, Findings& findings) {
  std::unordered_map<std::string_view, const Placed*> seen;
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
  Targets known_pools("pool", pools), known_listeners("listener", listeners);
  for (size_t i = 0; i < settings.routes.size(); ++i) {
    const Route& route = settings.routes[i];
    const std::string pool = indexed("route", i) + ".pool", listener = indexed("route", i) + ".listener";
    if (findings.given(pool) && !findings.broken(pool)) {
      known_pools.check(pool, route.pool, settings.pools.size(), findings);
    }
    if (!route.listener.empty() && !findings.broken(listener)) {
      known_listeners.check(listener, route.listener, settings.listeners.size(), findings);
    }
  }
}

}  // namespace limpet::conf
