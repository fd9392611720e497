#include "routing/routes.h"

#include <algorithm>

#include "conf/ascii.h"
#include "routing/path_prefix.h"

namespace limpet::routing {
namespace {

std::string_view bare_host(std::string_view host) {
  if (!host.empty() && host.front() == '[') {
    const size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  const size_t colon = host.find(':');
  if (colon != std::string_view::npos && host.find(':', colon + 1) == std::string_view::npos)
    host = host.substr(0, colon);
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  return host;
}

// Below zero, zero or above, as `name`, which is lower case, sorts before, with or after `host`.
int compare(std::string_view name, std::string_view host) {
  const size_t common = std::min(name.size(), host.size());
  for (size_t i = 0; i < common; ++i) {
    const int difference = static_cast<uint8_t>(name[i]) - static_cast<uint8_t>(lower(host[i]));
    if (difference != 0) return difference;
  }
  return name.size() < host.size() ? -1 : name.size() > host.size();
}

bool ends_with_ignoring_case(std::string_view host, std::string_view suffix) {
  return host.size() > suffix.size() &&
         equals_ignoring_case(host.substr(host.size() - suffix.size()), suffix);
}

size_t place_of(const auto& named, std::string_view name) {
  const auto found =
      std::find_if(named.begin(), named.end(), [&](const auto& one) { return one.name == name; });
  return static_cast<size_t>(found - named.begin());
}

}  // namespace

Routes::Host& Routes::host_of(Listener& listener, std::string_view pattern) {
  if (pattern.empty()) return listener.any;
  const bool wildcard = pattern.starts_with("*.");
  const std::string name(wildcard ? pattern.substr(1) : bare_host(pattern));
  std::vector<Host>& hosts = wildcard ? listener.wildcards : listener.exact;
  const size_t place = place_of(hosts, name);
  if (place == hosts.size()) hosts.push_back({name, {}});
  return hosts[place];
}

Routes Routes::from(const conf::Settings& settings) {
  Routes routes;
  const auto longest_first = [](const Path& a, const Path& b) { return a.prefix.size() > b.prefix.size(); };
  const auto sort_paths = [&](Host& host) { std::sort(host.paths.begin(), host.paths.end(), longest_first); };
  for (const conf::Listener& settings_listener : settings.listeners) {
    Listener& listener = routes.listeners_.emplace_back();
    for (const conf::Route& route : settings.routes) {
      if (!route.listener.empty() && route.listener != settings_listener.name) continue;
      std::string prefix = route.path == "/" ? "" : route.path;
      host_of(listener, route.host)
          .paths.push_back({std::move(prefix), place_of(settings.pools, route.pool)});
    }
    std::sort(listener.exact.begin(), listener.exact.end(),
              [](const Host& a, const Host& b) { return a.name < b.name; });
    std::sort(listener.wildcards.begin(), listener.wildcards.end(),
              [](const Host& a, const Host& b) { return a.name.size() > b.name.size(); });
    std::for_each(listener.exact.begin(), listener.exact.end(), sort_paths);
    std::for_each(listener.wildcards.begin(), listener.wildcards.end(), sort_paths);
    sort_paths(listener.any);
  }
  return routes;
}

size_t Routes::find_path(const Host& host, std::string_view target) {
  for (const Path& path : host.paths) {
    if (begins_with_segments(target, path.prefix)) return path.pool;
  }
  return kNoPool;
}

size_t Routes::find(size_t listener, std::string_view host, std::string_view target) const {
  const Listener& hosts = listeners_[listener];
  host = bare_host(host);
  if (!target.starts_with('/')) target = "/";
  const auto exact = std::lower_bound(
      hosts.exact.begin(), hosts.exact.end(), host,
      [](const Host& one, std::string_view wanted) { return compare(one.name, wanted) < 0; });
  if (exact != hosts.exact.end() && compare(exact->name, host) == 0) {
    if (const size_t pool = find_path(*exact, target); pool != kNoPool) return pool;
  }
  for (const Host& wildcard : hosts.wildcards) {
    if (!ends_with_ignoring_case(host, wildcard.name)) continue;
    if (const size_t pool = find_path(wildcard, target); pool != kNoPool) return pool;
  }
  return find_path(hosts.any, target);
}

}  // namespace limpet::routing
