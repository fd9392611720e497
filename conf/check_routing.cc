// Requests reach every pool, each by one route, and cookies of different pools stay apart.
#include <algorithm>

#include "conf/checks.h"
#include "conf/spelling.h"

namespace limpet::conf {
namespace {

bool share_a_listener(const Route& a, const Route& b) {
  return a.listener.empty() || b.listener.empty() || a.listener == b.listener;
}

bool matches_below(std::string_view wildcard, std::string_view host) {
  return wildcard.starts_with("*.") && host.ends_with(wildcard.substr(1));
}

// Whether some host name is matched by both.
bool hosts_overlap(std::string_view a, std::string_view b) {
  return a.empty() || b.empty() || a == b || matches_below(a, b) || matches_below(b, a);
}

// Whether a browser sends cookies of both paths with some request: RFC 6265, section 5.1.4.
bool cookie_paths_overlap(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  return b.starts_with(a) && (a.size() == b.size() || a.ends_with('/') || b[a.size()] == '/');
}

// The hosts that a pool's cookie comes back from, when it was set through `route`.
std::vector<std::string> cookie_hosts(const Pool& pool, const Route& route) {
  if (pool.cookie.domain.empty()) return {route.host};
  return {pool.cookie.domain, "*." + pool.cookie.domain};
}

// Whether a browser that was given both pools' cookies may send both, or keep only one, with some request.
bool cookies_meet(const Pool& a, const Pool& b, const std::vector<Route>& routes) {
  if (a.cookie_name() != b.cookie_name() || !cookie_paths_overlap(a.cookie.path, b.cookie.path)) return false;
  for (const Route& to_a : routes) {
    for (const Route& to_b : routes) {
      if (to_a.pool != a.name || to_b.pool != b.name || !share_a_listener(to_a, to_b)) continue;
      for (const std::string& host : cookie_hosts(a, to_a)) {
        for (const std::string& other : cookie_hosts(b, to_b)) {
          if (hosts_overlap(host, other)) return true;
        }
      }
    }
  }
  return false;
}

void check_identical_routes(const Settings& settings, Findings& findings) {
  const auto& routes = settings.routes;
  for (size_t i = 0; i < routes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (routes[i].host != routes[j].host || routes[i].path != routes[j].path) continue;
      if (!share_a_listener(routes[i], routes[j])) continue;
      const std::string first = indexed("route", j), second = indexed("route", i);
      if (findings.broken(first) || findings.broken(second)) continue;
      findings.fault(second, "matches the same requests as " + first + " in line " +
                                 std::to_string(findings.position(first).line) +
                                 ", accepted: one route for each host and path of a listener");
    }
  }
}

void check_reached(const Settings& settings, Findings& findings) {
  if (settings.routes.empty()) {
    if (settings.pools.size() > 1 && !findings.given("route")) {
      findings.fault("route", "is missing, accepted: at least one [[route]] for each of several pools");
    }
    return;
  }
  for (size_t i = 0; i < settings.routes.size(); ++i) {
    if (findings.broken(indexed("route", i) + ".pool")) return;  // it may have meant any of them
  }
  for (size_t i = 0; i < settings.pools.size(); ++i) {
    const std::string& name = settings.pools[i].name;
    const std::string path = indexed("pool", i);
    if (findings.broken(path + ".name")) continue;
    const bool reached = std::any_of(settings.routes.begin(), settings.routes.end(),
                                     [&](const Route& route) { return route.pool == name; });
    if (reached) continue;
    findings.fault(path, "no route reaches this pool, accepted: a [[route]] with pool = " + in_quotes(name));
  }
}

// Two pools whose cookies a browser keeps under one name would replace each other's tokens.
void check_cookies_apart(const Settings& settings, Findings& findings) {
  const auto& pools = settings.pools;
  for (size_t i = 0; i < pools.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (pools[i].name == pools[j].name) continue;
      if (!pools[i].uses(AffinityKind::cookie) || !pools[j].uses(AffinityKind::cookie)) continue;
      if (!cookies_meet(pools[j], pools[i], settings.routes)) continue;
      // Default names differ, so at least one is given.
      const std::string later = indexed("pool", i) + ".cookie.name";
      const std::string earlier = indexed("pool", j) + ".cookie.name";
      const bool at_later = findings.given(later);
      const std::string& path = at_later ? later : earlier;
      if (findings.broken(path)) continue;
      findings.fault(path, "is also the cookie of pool " + in_quotes(pools[at_later ? j : i].name) +
                               " on a host of both, accepted: a name of its own, or none for the default");
    }
  }
}

}  // namespace

void check_routing(const Settings& settings, Findings& findings) {
  check_identical_routes(settings, findings);
  check_reached(settings, findings);
  check_cookies_apart(settings, findings);
}

}  // namespace limpet::conf
