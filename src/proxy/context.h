// What the exchanges of one worker share: the settings in force, the pools, time, and the worker's own rooms
// for scratch, log and connections. One worker, one thread: nothing is locked in here; what the workers share
// (routers, the access log) locks itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"
#include "routing/fleet.h"
#include "routing/router.h"
#include "routing/routes.h"
#include "src/access_log.h"
#include "src/net/gather.h"
#include "src/net/loop.h"
#include "src/proxy/backend_connections.h"
#include "src/proxy/clock.h"
#include "src/proxy/set_cookie.h"

namespace limpet::proxy {

class Exchange;

// A pool as one worker serves it.
struct ServedPool {
  ServedPool(const conf::Pool& pool, routing::Router& its_router, net::Deadlines& deadlines,
             net::Graveyard& graveyard, Dialer& dialer)
      : settings(pool),
        router(its_router),
        fleet(routing::Fleet::from(pool)),
        connections(pool, deadlines, graveyard, dialer) {
    if (!pool.uses(conf::AffinityKind::cookie)) return;
    cookie_name = pool.cookie_name();
    cookie_attributes = set_cookie_attributes(pool.cookie);
  }

  const conf::Pool& settings;
  routing::Router& router;
  routing::Fleet fleet;
  BackendConnections connections;
  std::string cookie_name;        // empty: the pool sets none
  std::string cookie_attributes;  // what follows the token in Set-Cookie
};

class Context final : net::DeadlineOwner {
 public:
  Context(const conf::Settings& settings, const routing::Routes& routes,
          const std::vector<std::unique_ptr<routing::Router>>& routers, net::Deadlines& deadlines,
          net::Graveyard& graveyard, Dialer& dialer, Clock& clock, AccessLogBuffer* access_log);
  ~Context();  // no connection is left

  const conf::Settings& settings;
  const routing::Routes& routes;
  net::Deadlines& deadlines;
  net::Graveyard& graveyard;
  Clock& clock;
  std::vector<std::unique_ptr<ServedPool>> pools;  // as in the settings

  // Filled and emptied within one event, each for one stream at a time.
  net::Gather to_client;
  net::Gather to_backend;

  bool shutting_down = false;  // answers say close, idle connections end

  std::unique_ptr<Exchange> new_exchange();       // a used one where there is one, with its memory
  void recycle(std::unique_ptr<Exchange> ended);  // one that is over, from the last thing it calls
  std::string_view new_request_id(std::string& out);
  bool logs() const { return access_log_ != nullptr; }
  void log(const AccessRecord& record);

 private:
  void on_deadline() override;

  AccessLogBuffer* const access_log_;  // nullptr: off
  net::Deadline log_flush_;
  std::vector<std::unique_ptr<Exchange>> spare_;
  uint64_t id_state_[2];
};

}  // namespace limpet::proxy
