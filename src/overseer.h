// The pools as the main thread oversees them: settings in force, what health finds of the backends, the
// incidents, and the plan that all of it comes to, which is published anew whenever anything changed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "health/incidents.h"
#include "health/pool_health.h"
#include "src/net/calls.h"
#include "src/net/loop.h"
#include "src/net/resolver.h"
#include "src/probe.h"
#include "src/proxy/context.h"
#include "src/proxy/plan.h"
#include "src/secrets.h"
#include "src/status/control.h"
#include "src/worker.h"

namespace limpet {

// Of the main thread, but for what Witness says.
class Overseer final : public proxy::Witness, ProbeEvents {
 public:
  using Publish = std::function<void(Update)>;

  // `secrets`, `resolver`, `descriptors` and `calls`, which runs calls on `loop`, outlive it.
  Overseer(net::Loop& loop, net::Resolver& resolver, net::Descriptors& descriptors, net::Calls& calls,
           const Secrets& secrets, size_t workers, Publish publish);
  ~Overseer();
  void close();  // before the loop ends

  // Puts settings in force, with the certificates of their listeners and the trust of
  // their pools. What this returns is not published.
  Update adopt(std::shared_ptr<const conf::Settings> settings, std::vector<net::SharedTlsIdentity> tls,
               std::vector<net::SharedTlsTrust> trusts);
  // What the listeners of the settings show by TLS from now on.
  void show(std::vector<net::SharedTlsIdentity> tls);
  // Why these cannot be put in force now; empty: they can.
  std::string refusal(const conf::Settings& settings) const;

  void start();  // the checks, and what is done each second

  // From any thread.
  void on_evidence(size_t pool, routing::Slot slot, const health::Evidence& evidence) override;

  // For the status endpoint.
  void report_pools(status::Report& report, size_t most_incidents);
  bool ready() const;
  status::Control::Done order(const std::string& pool, const std::string& backend, health::Order what,
                              const std::string& who);
  status::Control::Done unbind(const std::string& pool, const std::string& session, const std::string& who);
  status::Control::Done pin(const std::string& pool, const std::string& session, const std::string& backend,
                            const std::string& who);
  std::vector<status::SessionReport> find(const std::string& session) const;

 private:
  struct Pool;
  struct Listener {
    conf::Listener settings;
    bool listed = true;
    net::SharedTlsIdentity tls = {};
    std::shared_ptr<proxy::ListenerMeter> meter = std::make_shared<proxy::ListenerMeter>();
  };

  void on_probed(uint64_t tag, const health::CheckResult& result, uint64_t microseconds) override;
  void on_tick();
  void each_second();
  void begin_check(Pool& pool, routing::Slot slot);
  bool is_restarted(Pool& pool, routing::Slot slot, const health::CheckResult& result);
  void tell_restart(Pool& pool, routing::Slot slot);
  void apply(Pool& pool, const std::vector<health::SlotChange>& changes);
  void apply(Pool& pool, routing::Slot slot, const health::Changed& change);
  void tell(const std::vector<health::Notice>& notices);
  void withdraw_overdue(Pool& pool);
  void watch_names();
  void on_address_lost(const std::string& name);
  void publish_changes();
  Update take_changes();
  void adopt_listeners(std::vector<net::SharedTlsIdentity> tls);
  std::unique_ptr<Pool> new_pool(const conf::Pool& settings);
  // Places in pools_; of several with one name the first, as below.
  std::unordered_map<std::string_view, size_t> pools_by_name() const;
  Pool* find_pool(const std::string& name) const;  // in the file, or the latest that was
  Pool* find_pool(size_t id) const;                // nullptr: it is gone
  void retire(Pool& pool);
  void end(size_t place);  // of a pool that is over
  void forecast_drains(Pool& pool);
  status::Control::Done no_pool(const std::string& name) const;
  status::Control::Done no_backend(const Pool& pool, const std::string& name) const;
  static status::TlsReport report_tls(const Listener& listener);
  status::PoolReport report_pool(Pool& pool);
  status::BackendReport report_backend(const Pool& pool, routing::Slot slot) const;
  std::string doubt(const Pool& pool, routing::Slot slot) const;
  status::DrainReport report_drain(const Pool& pool, routing::Slot slot) const;
  uint64_t now() const;  // milliseconds of the loop's clock
  int64_t unix_at(uint64_t then) const;
  int64_t drain_deadline(const Pool& pool, routing::Slot slot) const;  // Unix seconds

  net::Loop& loop_;
  net::Resolver& resolver_;
  net::Descriptors& descriptors_;
  net::Calls& calls_;
  net::TlsRoom tls_room_{loop_.graveyard()};
  const Secrets& secrets_;
  const size_t workers_;
  const Publish publish_;
  std::shared_ptr<const conf::Settings> settings_;
  std::shared_ptr<const routing::Routes> routes_;
  // Those that are listed, as in the settings; then those of which anything is left, the latest first.
  std::vector<std::unique_ptr<Pool>> pools_;
  std::unordered_map<size_t, Pool*> by_id_;
  size_t last_id_ = 0;
  std::vector<Listener> listeners_;  // as in the settings; then those that have connections yet
  health::Incidents incidents_;
  std::vector<Update::Withdrawal> withdrawn_;  // since the last plan
  std::atomic<uint32_t> evidence_waiting_{0};
  uv_timer_t timer_;
  uv_prepare_t end_of_turn_;  // of the loop: what changed in it is published at once
  uint64_t ticks_ = 0;
  bool changed_ = false;                               // since the last plan
  std::vector<std::weak_ptr<routing::Memory>> ended_;  // of pools that workers may still hold
};

}  // namespace limpet
