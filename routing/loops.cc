#include "routing/loops.h"

#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "conf/ascii.h"
#include "conf/checks.h"
#include "conf/spelling.h"
#include "routing/routes.h"

namespace limpet::routing {
namespace {

using conf::Address;

constexpr size_t kNoListener = SIZE_MAX;

// Steps from pool to pool in all: so many take a fraction of a second, and real files take a few. What is not
// found here is answered 508.
constexpr size_t kMostSteps = 200'000;

bool is_loopback_name(const std::string& name) {  // RFC 6761, section 6.3
  const std::string lower = lower_case(name);
  return lower == "localhost" || lower.ends_with(".localhost");
}

// Limpet begins no connection with a PROXY protocol header, without which such a listener takes none from
// here: over loopback, or from the address that it comes to.
bool wants_header(const conf::Listener& listener) {
  const std::string& host = listener.address.host;
  const bool is_any = host == "0.0.0.0" || host == "::";
  const auto source = conf::IpAddress::parse(is_any ? "127.0.0.1" : host);
  const auto& from = listener.proxy_protocol_from;
  return listener.proxy_protocol && (from.empty() || (source && conf::contain(from, *source)));
}

// The listeners by where they listen.
class Doors {
 public:
  explicit Doors(const std::vector<conf::Listener>& listeners) {
    for (size_t i = 0; i < listeners.size(); ++i) {
      if (wants_header(listeners[i])) continue;
      by_address_.emplace(std::pair(listeners[i].address.host, listeners[i].address.port), i);
    }
  }

  // The listener that a connection to the backend comes to; kNoListener: none that is known to be it.
  size_t of(const Address& backend) const {
    if (backend.kind == Address::Kind::unix_socket) return kNoListener;
    if (backend.kind == Address::Kind::host && !is_loopback_name(backend.host)) return kNoListener;
    if (backend.kind == Address::Kind::ip) return of_ip(backend.host, backend.port);
    const size_t v4 = of_ip("127.0.0.1", backend.port);
    return v4 != kNoListener ? v4 : of_ip("::1", backend.port);
  }

 private:
  // The kernel prefers the listener of the very address, and takes a connection to any address for one to
  // loopback.
  size_t of_ip(const std::string& host, uint16_t port) const {
    if (host == "0.0.0.0") return of_ip("127.0.0.1", port);
    if (host == "::") return of_ip("::1", port);
    const auto ip = conf::IpAddress::parse(host);
    const size_t found = at(host, port);
    if (found != kNoListener || !ip->is_loopback()) return found;
    const size_t of_family = at(ip->is_v4() ? "0.0.0.0" : "::", port);
    return of_family != kNoListener ? of_family : at("*", port);
  }
  size_t at(const std::string& host, uint16_t port) const {
    const auto found = by_address_.find({host, port});
    return found == by_address_.end() ? kNoListener : found->second;
  }

  std::map<std::pair<std::string, uint16_t>, size_t> by_address_;
};

// A backend that is a listener.
struct Link {
  size_t pool, backend, listener;
};

class Loops {
 public:
  Loops(const conf::Settings& settings, conf::Findings& findings)
      : settings_(settings), findings_(findings), routes_(Routes::from(settings)) {
    const Doors doors(settings.listeners);
    std::unordered_map<std::string_view, size_t> pools;
    for (size_t i = 0; i < settings.pools.size(); ++i) {
      pools.emplace(settings.pools[i].name, i);
      for (size_t j = 0; j < settings.pools[i].backends.size(); ++j) {
        const size_t listener = doors.of(settings.pools[i].backends[j].address);
        if (listener != kNoListener) links_[i].push_back({i, j, listener});
      }
    }
    for (const conf::Route& route : settings.routes) requests_[pools.at(route.pool)].push_back(&route);
  }

  void report() {
    for (const auto& [pool, links] : links_) {
      for (const Link& link : links) {
        if (told_.contains({link.pool, link.backend})) continue;
        for (const conf::Route* request : requests_[pool]) {
          if (const auto way = way_back(link, *request); !way.empty()) {
            tell(way);
            break;
          }
        }
      }
    }
  }

 private:
  // The links that lead the request from the first one's pool back to it; empty: it does not come back.
  std::vector<Link> way_back(const Link& first, const conf::Route& request) {
    std::map<size_t, const Link*> came_by;  // pools, by the link that led there
    std::deque<const Link*> next = {&first};
    for (; !next.empty() && steps_ < kMostSteps; ++steps_) {
      const Link* const link = next.front();
      next.pop_front();
      // A wildcard as a host is one of the names that it stands for.
      const size_t pool = routes_.find(link->listener, request.host, request.path);
      if (pool == kNoPool || !came_by.emplace(pool, link).second) continue;
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
      if (&link != &way.front()) text += ", pool " + conf::in_quotes(settings_.pools[link.pool].name) + ", ";
      text += "listener " + conf::in_quotes(settings_.listeners[link.listener].name);
    }
    const std::string pool = conf::indexed("pool", way.front().pool);
    findings_.fault(conf::indexed(pool + ".backend", way.front().backend) + ".address",
                    text + ", accepted: an address that no request comes back from");
  }

  const conf::Settings& settings_;
  conf::Findings& findings_;
  const Routes routes_;
  std::map<size_t, std::vector<Link>> links_;                             // by pool
  std::unordered_map<size_t, std::vector<const conf::Route*>> requests_;  // by the pool that they begin at
  std::set<std::pair<size_t, size_t>> told_;                              // pools and backends
  size_t steps_ = 0;
};

}  // namespace

void check_loops(const conf::Settings& settings, conf::Findings& findings) {
  Loops(settings, findings).report();
}

}  // namespace limpet::routing
