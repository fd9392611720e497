// No pool's requests come back to it, because a backend of it is a listener of this very file.
//
// A listener may be a backend: its requests go on to another pool. They come back where they are led in a
// circle. What is told is certain: a request is followed as it would be routed, and a backend is taken for a
// listener only where its address says so without asking anybody.
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "conf/ascii.h"
#include "conf/checks.h"
#include "conf/spelling.h"

namespace limpet::conf {
namespace {

constexpr size_t kNone = SIZE_MAX;

bool is_loopback_name(const std::string& name) {  // RFC 6761, section 6.3
  const std::string lower = lower_case(name);
  return lower == "localhost" || lower.ends_with(".localhost");
}

// The listeners by where they listen.
class Doors {
 public:
  Doors(const Settings& settings, const Findings& findings) {
    for (size_t i = 0; i < settings.listeners.size(); ++i) {
      const Listener& listener = settings.listeners[i];
      // Limpet begins no connection with a PROXY protocol header, without which such a listener takes none.
      if (listener.proxy_protocol || findings.broken(indexed("listener", i))) continue;
      by_address_.emplace(std::pair(listener.address.host, listener.address.port), i);
    }
  }

  // The listener that a connection to the backend comes to; kNone: none that is known to be it.
  size_t of(const Address& backend) const {
    if (backend.kind == Address::Kind::unix_socket) return kNone;
    if (backend.kind == Address::Kind::host && !is_loopback_name(backend.host)) return kNone;
    if (backend.kind == Address::Kind::ip) return of_ip(backend.host, backend.port);
    const size_t v4 = of_ip("127.0.0.1", backend.port);
    return v4 != kNone ? v4 : of_ip("::1", backend.port);
  }

 private:
  // The kernel prefers the listener of the very address, and takes a connection to any address for one to
  // loopback.
  size_t of_ip(const std::string& host, uint16_t port) const {
    if (host == "0.0.0.0") return of_ip("127.0.0.1", port);
    if (host == "::") return of_ip("::1", port);
    const auto ip = IpAddress::parse(host);
    const size_t found = at(host, port);
    if (found != kNone || !ip->is_loopback()) return found;
    const size_t of_family = at(ip->is_v4() ? "0.0.0.0" : "::", port);
    return of_family != kNone ? of_family : at("*", port);
  }
  size_t at(const std::string& host, uint16_t port) const {
    const auto found = by_address_.find({host, port});
    return found == by_address_.end() ? kNone : found->second;
  }

  std::map<std::pair<std::string, uint16_t>, size_t> by_address_;
};

// Where a request goes that a route is for, by what conf::Route says.
class Ways {
 public:
  explicit Ways(const Settings& settings) : settings_(settings) {
    std::unordered_map<std::string_view, size_t> pools;
    for (size_t i = 0; i < settings.pools.size(); ++i) pools.emplace(settings.pools[i].name, i);
    for (const Route& route : settings.routes) {
      const auto pool = pools.find(route.pool);
      if (pool == pools.end()) continue;
      pools_.emplace(std::tuple(route.listener, route.host, route.path), pool->second);
      routes_[pool->second].push_back(&route);
    }
  }

  const std::vector<const Route*>& to(size_t pool) { return routes_[pool]; }

  size_t pool_of(size_t listener, const Route& request) const {
    size_t pool = with_host(listener, request.host, request.path);
    for (size_t dot = request.host.find('.'); pool == kNone && dot != std::string::npos;
         dot = request.host.find('.', dot + 1))
      pool = with_host(listener, "*" + request.host.substr(dot), request.path);
    return pool != kNone ? pool : with_host(listener, "", request.path);
  }

 private:
  size_t with_host(size_t listener, const std::string& host, std::string path) const {
    for (;;) {
      for (const std::string& name : {settings_.listeners[listener].name, std::string()}) {
        if (const auto found = pools_.find({name, host, path}); found != pools_.end()) return found->second;
      }
      if (path == "/") return kNone;
      path.resize(path.find_last_of("/;"));
      if (path.empty()) path = "/";
    }
  }

  const Settings& settings_;
  std::map<std::tuple<std::string, std::string, std::string>, size_t> pools_;  // by listener, host and path
  std::unordered_map<size_t, std::vector<const Route*>> routes_;               // by pool
};

// A backend that is a listener.
struct Link {
  size_t pool, backend, listener;
};

class Loops {
 public:
  Loops(const Settings& settings, Findings& findings)
      : settings_(settings), findings_(findings), ways_(settings) {
    const Doors doors(settings, findings);
    for (size_t i = 0; i < settings.pools.size(); ++i) {
      for (size_t j = 0; j < settings.pools[i].backends.size(); ++j) {
        if (findings.broken(path({i, j, 0}))) continue;
        const size_t listener = doors.of(settings.pools[i].backends[j].address);
        if (listener != kNone) links_[i].push_back({i, j, listener});
      }
    }
  }

  void report() {
    for (const auto& [pool, links] : links_) {
      for (const Link& link : links) {
        if (told_.contains({link.pool, link.backend})) continue;
        for (const Route* request : ways_.to(pool)) {
          if (const auto way = way_back(link, *request); !way.empty()) {
            tell(way);
            break;
          }
        }
      }
    }
  }

 private:
  static std::string path(const Link& link) {
    return indexed(indexed("pool", link.pool) + ".backend", link.backend) + ".address";
  }

  // The links that lead the request from the first one's pool back to it; empty: it does not come back.
  std::vector<Link> way_back(const Link& first, const Route& request) const {
    std::map<size_t, const Link*> came_by;  // pools, by the link that led there
    std::deque<const Link*> next = {&first};
    while (!next.empty()) {
      const Link* const link = next.front();
      next.pop_front();
      const size_t pool = ways_.pool_of(link->listener, request);
      if (pool == kNone || !came_by.emplace(pool, link).second) continue;
      if (pool == first.pool) break;
      const auto onward = links_.find(pool);
      if (onward == links_.end()) continue;
      for (const Link& each : onward->second) next.push_back(&each);
    }
    std::vector<Link> way;
    for (size_t pool = first.pool; came_by.contains(pool); pool = way.front().pool) {
      way.insert(way.begin(), *came_by.at(pool));
      if (way.front().pool == first.pool) break;
    }
    return way;
  }

  void tell(const std::vector<Link>& way) {
    std::string text = "leads back to this pool, by ";
    for (const Link& link : way) {
      told_.emplace(link.pool, link.backend);
      if (&link != &way.front()) text += ", pool " + in_quotes(settings_.pools[link.pool].name) + ", ";
      text += "listener " + in_quotes(settings_.listeners[link.listener].name);
    }
    findings_.fault(path(way.front()), text + ", accepted: an address that no request comes back from");
  }

  const Settings& settings_;
  Findings& findings_;
  Ways ways_;
  std::map<size_t, std::vector<Link>> links_;  // by pool
  std::set<std::pair<size_t, size_t>> told_;   // pools and backends
};

}  // namespace

void check_loops(const Settings& settings, Findings& findings) {
  if (!findings.broken("route")) Loops(settings, findings).report();
}

}  // namespace limpet::conf
