// What workers serve by: one generation of the settings, and the backends as they are at the moment.
// Immutable; a change of anything is a new plan, which every worker takes up between two events. A plan
// shares with the one before what did not change, so that following it costs in proportion to what did.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "conf/settings.h"
#include "routing/fleet.h"
#include "routing/router.h"
#include "routing/routes.h"
#include "src/http/h2_abuse.h"
#include "src/net/tls_connector.h"
#include "src/net/tls_server.h"
#include "src/proxy/client_counts.h"
#include "src/proxy/meters.h"

namespace limpet::proxy {

struct PoolPlan {
  // The same for as long as the pool keeps its sessions; two that have one name in turn have two.
  size_t id = 0;
  std::shared_ptr<const conf::Settings> source;
  const conf::Pool* settings;  // one of `source`
  std::shared_ptr<routing::Router> router;
  std::vector<std::shared_ptr<PoolMeter>> meters;  // by worker
  routing::Fleet fleet;
  net::SharedTlsTrust tls;  // nullptr: none

  // By the pool's `shed`: no session is to be begun now, milliseconds of the workers' clock. Who waits for
  // its own backend speaks against nobody who can be placed at another that has a place.
  bool sheds(uint64_t now_ms) const;

 private:
  bool has_free_place() const;  // for a new session
};
using SharedPoolPlan = std::shared_ptr<const PoolPlan>;

// Of a listener, over all workers.
struct ListenerMeter {
  std::atomic<uint32_t> connections{0};
  std::array<std::atomic<uint64_t>, kHandshakeEnds> handshakes{};
  std::array<std::atomic<uint64_t>, kConnectionLimits> refused{};  // connections, by limit
  std::array<std::atomic<uint64_t>, http::kH2Abuses> abused{};     // connections that were cut for it
  ClientCounts clients;
};

struct Plan {
  std::shared_ptr<const conf::Settings> settings;
  std::shared_ptr<const routing::Routes> routes;          // to places in `pools`
  std::vector<std::shared_ptr<ListenerMeter>> listeners;  // as in the settings
  std::vector<net::SharedTlsIdentity> tls;                // of these; nullptr: none
  // As in the settings; then those that left them and of which anything is left.
  std::vector<SharedPoolPlan> pools;
};

}  // namespace limpet::proxy
