// Requests reach every pool, each by one route.
#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "conf/checks.h"
#include "conf/spelling.h"

namespace limpet::conf {
namespace {

// The routes so far of one host and path whose requests can be told: the first of all, and of each listener.
struct Same {
  size_t first = SIZE_MAX;
  std::unordered_map<std::string_view, size_t> of_listener;  // "": of every listener

  size_t sharing_with(const std::string& listener) const {
    if (listener.empty()) return first;
    size_t found = SIZE_MAX;
    for (const std::string_view each : {std::string_view(listener), std::string_view()}) {
      if (const auto at = of_listener.find(each); at != of_listener.end())
        found = std::min(found, at->second);
    }
    return found;
  }
};

void check_identical_routes(const Settings& settings, Findings& findings) {
  std::map<std::pair<std::string_view, std::string_view>, Same> seen;
  for (size_t i = 0; i < settings.routes.size(); ++i) {
    const Route& route = settings.routes[i];
    const std::string path = indexed("route", i);
    if (findings.broken(path)) continue;
    Same& same = seen[{route.host, route.path}];
    if (const size_t j = same.sharing_with(route.listener); j != SIZE_MAX) {
      const std::string first = indexed("route", j);
      findings.fault(path, "matches the same requests as " + first + " in line " +
                               std::to_string(findings.position(first).line) +
                               ", accepted: one route for each host and path of a listener");
      continue;
    }
    same.first = std::min(same.first, i);
    same.of_listener.emplace(route.listener, i);
  }
}

void check_reached(const Settings& settings, Findings& findings) {
  if (settings.routes.empty()) {
    if (settings.pools.size() > 1 && !findings.given("route")) {
      findings.fault("route", "is missing, accepted: at least one [[route]] for each of several pools");
    }
    return;
  }
  std::unordered_set<std::string_view> reached;
  for (size_t i = 0; i < settings.routes.size(); ++i) {
    if (findings.broken(indexed("route", i) + ".pool")) return;  // it may have meant any of them
    reached.insert(settings.routes[i].pool);
  }
  for (size_t i = 0; i < settings.pools.size(); ++i) {
    const std::string& name = settings.pools[i].name;
    const std::string path = indexed("pool", i);
    if (findings.broken(path + ".name")) continue;
    if (reached.contains(name)) continue;
    findings.fault(path, "no route reaches this pool, accepted: a [[route]] with pool = " + in_quotes(name));
  }
}

}  // namespace

void check_routing(const Settings& settings, Findings& findings) {
  check_identical_routes(settings, findings);
  check_reached(settings, findings);
}

}  // namespace limpet::conf
