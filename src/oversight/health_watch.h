// Watches the health of the pools: asks their backends, hears what requests found, and tells what changes of
// it to the log, to the incidents and to those who publish.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "health/incidents.h"
#include "src/net/calls.h"
#include "src/net/loop.h"
#include "src/net/resolver.h"
#include "src/oversight/pools.h"
#include "src/oversight/publisher.h"
#include "src/probe.h"
#include "src/proxy/context.h"

namespace limpet {

// Of the loop's thread, but for what Witness says.
class HealthWatch final : public proxy::Witness, ProbeEvents {
 public:
  // All outlive it; `calls` runs calls on `loop`.
  HealthWatch(net::Loop& loop, net::Resolver& resolver, net::Descriptors& descriptors, net::Calls& calls,
              Pools& pools, Publisher& publisher);
  void close();  // before the loop ends

  void on_evidence(size_t pool, routing::Slot slot, const health::Evidence& evidence) override;

  void begin_checks(OverseenPool& pool);  // that are due
  void each_second(OverseenPool& pool);

  void apply(OverseenPool& pool, const std::vector<health::SlotChange>& changes);
  void apply(OverseenPool& pool, routing::Slot slot, const health::Changed& change);
  void withdraw_overdue(OverseenPool& pool);

  health::Incidents& incidents() { return incidents_; }

 private:
  void on_probed(uint64_t tag, const health::CheckResult& result, uint64_t microseconds) override;
  void begin_check(OverseenPool& pool, routing::Slot slot);
  bool is_restarted(OverseenPool& pool, routing::Slot slot, const health::CheckResult& result);
  void tell_restart(OverseenPool& pool, routing::Slot slot);
  void tell(const std::vector<health::Notice>& notices);
  uint64_t now() const { return uv_now(loop_.uv()); }

  net::Loop& loop_;
  net::Resolver& resolver_;
  net::Descriptors& descriptors_;
  net::Calls& calls_;
  net::TlsRoom tls_room_{loop_.graveyard()};
  Pools& pools_;
  Publisher& publisher_;
  health::Incidents incidents_;
  std::atomic<uint32_t> evidence_waiting_{0};
};

}  // namespace limpet
