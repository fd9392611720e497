// Cookies of different pools stay apart: two that a browser keeps under one name would replace each other's
// tokens.
//
// Where a cookie comes back from has three sides: a listener, a host and a path. The values of a side form a
// tree, for any host is above "*.example.com", which is above "shop.example.com". Two places have a request
// in common where on every side one is the other or above it.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_map>

#include "conf/checks.h"
#include "conf/spelling.h"

namespace limpet::conf {
namespace {

using Texts = std::vector<std::string>;

Texts listeners_above(const std::string& name) { return name.empty() ? Texts{} : Texts{""}; }

Texts hosts_above(const std::string& host) {
  if (host.empty()) return {};
  Texts out = {""};
  for (size_t dot = host.find('.'); dot != host.npos; dot = host.find('.', dot + 1))
    out.push_back("*" + host.substr(dot));
  return out;
}

// RFC 6265, section 5.1.4: a browser sends the cookies of these with requests for `path`.
Texts paths_above(const std::string& path) {
  Texts out;
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    out.push_back(path.substr(0, slash));
    out.push_back(path.substr(0, slash + 1));
  }
  return out;
}

constexpr size_t kSides = 3;
constexpr Texts (*kAbove[kSides])(const std::string&) = {listeners_above, hosts_above, paths_above};
using Place = std::array<std::string, kSides>;

std::vector<Place> places(const Pool& pool, const std::vector<const Route*>& routes) {
  std::vector<Place> out;
  for (const Route* route : routes) {
    if (pool.cookie.domain.empty()) {
      out.push_back({route->listener, route->host, pool.cookie.path});
    } else {
      out.push_back({route->listener, pool.cookie.domain, pool.cookie.path});
      out.push_back({route->listener, "*." + pool.cookie.domain, pool.cookie.path});
    }
  }
  return out;
}

// Finds what a place has a request in common with. Of two values of a side one is the other or above it
// exactly where a mark of the one that is filed is a mark of the one that is looked for.
class File {
 public:
  // `all`: the places that will be filed or looked for.
  explicit File(const std::vector<std::vector<Place>>& all) {
    for (const auto& of_one : all) {
      for (const Place& place : of_one) {
        for (size_t side = 0; side < kSides; ++side) values_[side].emplace(place[side], values_[side].size());
      }
    }
  }

  void add(const std::vector<Place>& of_one, size_t owner) {
    for (const Place& place : of_one)
      each_key(place, 0, [&](const Key& key) { owners_.emplace(key, owner); });
  }

  // The lowest owner, where they were added in this order.
  size_t first(const std::vector<Place>& of_one) const {
    size_t lowest = kNone;
    for (const Place& place : of_one) {
      each_key(place, 1, [&](const Key& key) {
        if (const auto at = owners_.find(key); at != owners_.end()) lowest = std::min(lowest, at->second);
      });
    }
    return lowest;
  }

  static constexpr size_t kNone = SIZE_MAX;

 private:
  using Key = std::array<size_t, kSides>;

  // A value has two marks: one for itself, and one for whatever is at or below it.
  std::vector<size_t> marks(size_t side, const std::string& value, size_t own) const {
    const auto& values = values_[side];
    std::set<size_t> out = {2 * values.at(value) + own, 2 * values.at(value) + 1 - own};
    for (const std::string& above : kAbove[side](value)) {
      if (const auto at = values.find(above); at != values.end()) out.insert(2 * at->second + 1 - own);
    }
    return {out.begin(), out.end()};
  }

  template <class Do>
  void each_key(const Place& place, size_t own, Do act) const {
    const auto listeners = marks(0, place[0], own), hosts = marks(1, place[1], own),
               paths = marks(2, place[2], own);
    for (const size_t listener : listeners) {
      for (const size_t host : hosts) {
        for (const size_t path : paths) act({listener, host, path});
      }
    }
  }

  std::unordered_map<std::string, size_t> values_[kSides];
  std::map<Key, size_t> owners_;
};

void check_group(const std::vector<Pool>& pools, const std::vector<size_t>& group,
                 const std::vector<std::vector<Place>>& places_of, Findings& findings) {
  const auto report = [&](size_t at, size_t other) {
    const std::string path = indexed("pool", at) + ".cookie.name";
    if (findings.broken(path)) return;
    findings.fault(path, "is also the cookie of pool " + in_quotes(pools[other].name) +
                             " on a host of both, accepted: a name of its own, or none for the default");
  };
  File file(places_of);
  for (size_t i = 0; i < group.size(); ++i) {
    if (findings.given(indexed("pool", group[i]) + ".cookie.name")) {
      if (const size_t first = file.first(places_of[i]); first != File::kNone) report(group[i], group[first]);
    } else {
      // Default names differ, so this is the only one, and those before are told of it.
      File own(places_of);
      own.add(places_of[i], i);
      for (size_t j = 0; j < i; ++j) {
        if (own.first(places_of[j]) != File::kNone) report(group[j], group[i]);
      }
    }
    file.add(places_of[i], i);
  }
}

}  // namespace

void check_cookies(const Settings& settings, Findings& findings) {
  const auto& pools = settings.pools;
  std::unordered_map<std::string_view, std::vector<const Route*>> routes;
  for (const Route& route : settings.routes) routes[route.pool].push_back(&route);
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < pools.size(); ++i) {
    const bool is_known = !findings.broken(indexed("pool", i) + ".name");
    if (is_known && pools[i].uses(AffinityKind::cookie)) groups[pools[i].cookie_name()].push_back(i);
  }
  for (const auto& [name, group] : groups) {
    if (group.size() < 2) continue;
    std::vector<std::vector<Place>> places_of;
    for (const size_t i : group) places_of.push_back(places(pools[i], routes[pools[i].name]));
    check_group(pools, group, places_of, findings);
  }
}

}  // namespace limpet::conf
