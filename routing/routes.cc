#include "routing/routes.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "conf/ascii.h"
#include "conf/normal_path.h"
#include "routing/host.h"
#include "routing/path_prefix.h"

namespace limpet::routing {
namespace {

// Below zero, zero or above, as `name`, which is lower case, sorts before, with or after `host`.
int compare(std::string_view name, std::string_view host) {
  const size_t common = std::min(name.size(), host.size());
  for (size_t i = 0; i < common; ++i) {
    const int difference = static_cast<uint8_t>(name[i]) - static_cast<uint8_t>(lower(host[i]));
    if (difference != 0) return difference;
  }
  return name.size() < host.size() ? -1 : name.size() > host.size();
}

}  // namespace

// The routes of one listener, while they are collected.
struct Routes::Collected {
  std::map<std::string, Host> exact, wildcards;
  Host any;

  Host& host_of(std::string_view pattern) {
    if (pattern.empty()) return any;
    const bool wildcard = pattern.starts_with("*.");
    std::string name(wildcard ? pattern.substr(1) : bare_host(pattern));
    Host& host = (wildcard ? wildcards : exact)[name];
    host.name = std::move(name);
    return host;
  }
};

Routes Routes::from(const conf::Settings& settings) {
  std::unordered_map<std::string_view, size_t> pools;
  for (size_t i = 0; i < settings.pools.size(); ++i) pools.emplace(settings.pools[i].name, i);
  std::unordered_map<std::string_view, std::vector<const conf::Route*>> by_listener;  // "": of every one
  for (const conf::Route& route : settings.routes) by_listener[route.listener].push_back(&route);

  Routes routes;
  const auto take = [](std::map<std::string, Host>& hosts) {
    std::vector<Host> out;
    for (auto& [name, host] : hosts) out.push_back(std::move(host));
    return out;
  };
  const auto sort_paths = [](Host& host) {
    std::sort(host.paths.begin(), host.paths.end(),
              [](const Path& a, const Path& b) { return a.prefix.size() > b.prefix.size(); });
  };
  for (const conf::Listener& settings_listener : settings.listeners) {
    Collected collected;
    bool has_paths = false;
    for (const std::string_view name : {std::string_view(), std::string_view(settings_listener.name)}) {
      for (const conf::Route* route : by_listener[name]) {
        std::string prefix = as_prefix(route->path);
        has_paths = has_paths || !prefix.empty();
        collected.host_of(route->host).paths.push_back({std::move(prefix), pools.at(route->pool)});
      }
    }
    Listener& listener = routes.listeners_.emplace_back();
    listener.exact = take(collected.exact);
    listener.wildcards = take(collected.wildcards);
    listener.any = std::move(collected.any);
    listener.has_paths = has_paths;
    std::stable_sort(listener.wildcards.begin(), listener.wildcards.end(),
                     [](const Host& a, const Host& b) { return a.name.size() > b.name.size(); });
    std::for_each(listener.exact.begin(), listener.exact.end(), sort_paths);
    std::for_each(listener.wildcards.begin(), listener.wildcards.end(), sort_paths);
    sort_paths(listener.any);
  }
  return routes;
}

size_t Routes::find_path(const Host& host, std::string_view path) {
  for (const Path& one : host.paths) {
    if (begins_with_segments(path, one.prefix)) return one.pool;
  }
  return kNoPool;
}

size_t Routes::find(size_t listener, std::string_view host, std::string_view target) const {
  const Listener& hosts = listeners_[listener];
  host = bare_host(host);
  std::string room;
  const std::string_view path = hosts.has_paths ? conf::normal_path(target, room) : "/";
  const auto exact = std::lower_bound(
      hosts.exact.begin(), hosts.exact.end(), host,
      [](const Host& one, std::string_view wanted) { return compare(one.name, wanted) < 0; });
  if (exact != hosts.exact.end() && compare(exact->name, host) == 0) {
    if (const size_t pool = find_path(*exact, path); pool != kNoPool) return pool;
  }
  for (const Host& wildcard : hosts.wildcards) {
    if (!ends_with_ignoring_case(host, wildcard.name)) continue;
    if (const size_t pool = find_path(wildcard, path); pool != kNoPool) return pool;
  }
  return find_path(hosts.any, path);
}

}  // namespace limpet::routing
