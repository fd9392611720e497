// The pools as the main thread oversees them: it puts settings in force, follows backends' names, and ends
// what is gone. The health of the pools, what workers are told, what the status endpoint reports and what
// operators order each have a room of their own beside this.
#pragma once

#include <uv.h>

#include <memory>
#include <string>
#include <vector>

#include "src/oversight/health_watch.h"
#include "src/oversight/orders.h"
#include "src/oversight/pools.h"
#include "src/oversight/publisher.h"
#include "src/oversight/reporter.h"
#include "src/secrets.h"

namespace limpet {

// Of the main thread.
class Overseer {
 public:
  // `secrets`, `resolver`, `descriptors` and `calls`, which runs calls on `loop`, outlive it.
  Overseer(net::Loop& loop, net::Resolver& resolver, net::Descriptors& descriptors, net::Calls& calls,
           const Secrets& secrets, size_t workers, Publisher::Publish publish);
  void close();  // before the loop ends

  // Why these cannot be put in force now; empty: they can.
  std::string refusal(const conf::Settings& settings) const { return pools_.refusal(settings); }
  // Puts settings in force, with the certificates of their listeners and the trust of their pools. What this
  // returns is not published.
  Update adopt(std::shared_ptr<const conf::Settings> settings, std::vector<net::SharedTlsIdentity> tls,
               std::vector<net::SharedTlsTrust> trusts);
  // What the listeners of the settings show by TLS from now on, and whom their pools trust.
  void use(std::vector<net::SharedTlsIdentity> tls, const std::vector<net::SharedTlsTrust>& trusts);

  void start();  // the checks, and what is done each second

  proxy::Witness& witness() { return health_; }
  Reporter& reporter() { return reporter_; }
  Orders& orders() { return orders_; }

 private:
  void on_tick();
  void each_second();
  void watch_names();
  void on_address_lost(const std::string& name);
  void retire(OverseenPool& pool);
  void end_those_over();

  uv_loop_t* const loop_;
  net::Resolver& resolver_;
  Pools pools_;
  Publisher publisher_;
  HealthWatch health_;
  Reporter reporter_;
  Orders orders_;
  uv_timer_t timer_;
  uint64_t ticks_ = 0;
  std::vector<std::weak_ptr<routing::Memory>> ended_;  // of pools that workers may still hold
};

}  // namespace limpet
