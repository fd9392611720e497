// What the exchanges of one worker share: the plan in force, the pools, time, and the worker's own rooms
// for scratch, log and connections. One worker, one thread: nothing is locked in here; what the workers share
// (routers, the access log) locks itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "conf/settings.h"
#include "health/evidence.h"
#include "routing/memory.h"
#include "src/access_log.h"
#include "src/http/h2_abuse.h"
#include "src/net/gather.h"
#include "src/net/loop.h"
#include "src/net/now_and_then.h"
#include "src/net/polls.h"
#include "src/net/small_files.h"
#include "src/proxy/backend_connections.h"
#include "src/proxy/burst_log.h"
#include "src/proxy/clock.h"
#include "src/proxy/handshakes.h"
#include "src/proxy/permit_calls.h"
#include "src/proxy/plan.h"
#include "src/proxy/retry_budget.h"
#include "src/proxy/spares.h"

namespace limpet::proxy {

struct H1Request;
class H2Request;

using conf::millis;

// Hears what requests tell about backends' health.
class Witness {
 public:
  // The pool by PoolPlan::id.
  virtual void on_evidence(size_t pool, routing::Slot slot, const health::Evidence& evidence) = 0;

 protected:
  ~Witness() = default;
};

// A pool as one worker serves it: by the plan in force, or, once that knows the pool no more, by the last
// that did, for what is still under way.
class ServedPool final : public net::Mortal, StrayListener {
 public:
  ServedPool(SharedPoolPlan plan, size_t worker, net::Deadlines& deadlines, net::Graveyard& graveyard,
             net::Polls& polls, Dialer& dialer, Witness& witness, net::Gather& to_backend,
             net::TlsRoom& tls_room);
  ~ServedPool() override;

  void follow(SharedPoolPlan plan);

  size_t id() const { return plan_->id; }
  const conf::Pool& settings() const { return *plan_->settings; }
  routing::Router& router() const { return *plan_->router; }
  const routing::Fleet& fleet() const { return plan_->fleet; }
  PoolMeter& meter() const { return *meter_; }
  const std::string& cookie_name() const { return cookie_name_; }  // empty: the pool sets none
  // What follows the token in Set-Cookie, by whether the client is believed to use TLS.
  const std::string& cookie_attributes(bool tls) const {
    return tls ? cookie_attributes_for_tls_ : cookie_attributes_;
  }

  void tell(routing::Slot slot, const health::Evidence& evidence) {
    witness_.on_evidence(id(), slot, evidence);
  }
  // Answers that may be the application's own are told of now and then.
  bool is_time_to_doubt(routing::Slot slot, net::Millis now) {
    if (now < doubted_at_[slot] + kDoubtEvery) return false;
    doubted_at_[slot] = now;
    return true;
  }

  routing::Permits& permits() const { return *plan_->router->memory()->permits; }
  bool sheds(net::Millis now) const { return plan_->sheds(now); }

  // A request that was identified and not yet answered may remember any slot of the plan that it came under.
  // While there is such a request the plan is kept, which keeps others from taking the slot over.
  class Era;
  Era* enter();
  void leave(Era* era);

  bool in_plan = true;     // one that left it is gone once nothing is under way here
  uint32_t exchanges = 0;  // that are under way here, and hold a pointer to this
  BackendConnections connections;
  RetryBudget retries;

 private:
  static constexpr net::Millis kDoubtEvery = 100;

  void on_stray(routing::Slot slot) override;

  SharedPoolPlan plan_;
  std::vector<std::unique_ptr<Era>> eras_;  // the last: of plan_
  std::shared_ptr<PoolMeter> meter_;
  const size_t worker_;
  Witness& witness_;
  std::vector<net::Millis> doubted_at_;  // by slot
  net::NowAndThen stray_log_{std::chrono::seconds(10)};
  std::string cookie_name_, cookie_attributes_, cookie_attributes_for_tls_;
};

// A listener as one worker serves it; known by its address, whatever its name. It outlives its connections.
//
// One that left the plan takes no more connections. Those that it has may ask once more, for a client cannot
// know, and are told to close; what lasts longer is its worker's to cut.
struct ServedListener final : net::Mortal {
  conf::Listener settings;
  std::shared_ptr<ListenerMeter> meter;
  uint32_t connections = 0;                  // of this worker
  bool listed = true;                        // in the plan
  std::shared_ptr<net::TlsServer> tls = {};  // nullptr: none

  // Which pools its requests go to: of the plan in force, or of the last that knew it.
  std::shared_ptr<const routing::Routes> routes;
  size_t place = 0;                // among the listeners of `routes`
  std::vector<size_t> pools = {};  // PoolPlan::id by place, once it has left the plan
};

class Context final : net::DeadlineOwner {
 public:
  Context(std::shared_ptr<const Plan> plan, size_t worker, net::Deadlines& deadlines,
          net::Graveyard& graveyard, net::Polls& polls, net::SmallFiles& files, Dialer& dialer, Clock& clock,
          Witness& witness, AccessLogBuffer* access_log);
  ~Context();  // no connection is left

  // Serves by this plan from now on.
  void follow(std::shared_ptr<const Plan> plan);

  const conf::Settings& settings() const { return *plan_->settings; }
  ServedPool& pool(size_t place) const { return *pools_[place]; }  // of the plan
  ServedPool* find_pool(size_t id) const;                          // by PoolPlan::id; nullptr: it is gone
  // Who serves this request; nullptr: nobody.
  ServedPool* route(const ServedListener& listener, std::string_view host, std::string_view target) const;
  ServedListener& listener(size_t place) const { return *listeners_[place]; }  // of the plan's settings
  void forget(const ServedListener& listener);  // one that is not listed and has no connection
  void close_idle();                            // connections to backends
  void give_up_idle(int below);                 // of these, as BackendConnections says

  net::Deadlines& deadlines;
  net::Graveyard& graveyard;
  net::Polls& polls;
  net::SmallFiles& files;
  Clock& clock;

  // Filled and emptied within one event, each for one stream at a time.
  net::Gather to_client;
  net::Gather to_backend;

  net::TlsRoom tls_room;
  Handshakes handshakes;

  uint64_t process_number = 0;  // random, the same for all workers: see http::LoopMark

  bool shutting_down = false;  // answers say close, idle connections end

  // An exchange comes to a pool, and is over.
  void enter(ServedPool& pool) {
    ++pool.exchanges;
    pool.meter().entered.add();
  }
  void leave(ServedPool& pool) {
    pool.meter().left.add();
    if (--pool.exchanges == 0) bury_if_gone(pool);
  }

  const std::shared_ptr<PermitCalls> permit_calls = std::make_shared<PermitCalls>();

  Spares<H1Request> h1_requests;
  Spares<H2Request> h2_requests;
  std::string_view new_request_id(std::string& out);
  std::string new_traceparent();
  std::string new_web_socket_key();  // RFC 6455, section 4.1
  // Every 16th: reading the clock costs as much as the decision.
  bool times_this_decision() { return (++decisions_ & 15) == 0; }
  // The oldest handshake was given up for a new one.
  void crowded_out(const std::string& listener);
  // A client's connection was refused.
  void over_limit(const ServedListener& listener, ConnectionLimit limit, const std::string& peer);
  // A client's connection ends for what it did too much of.
  void abused_http2(const ServedListener& listener, http::H2Abuse abuse, const std::string& peer);
  // A client's connection did not begin with the PROXY protocol's header.
  void refused_header(const std::string& listener, const std::string& peer, const char* why);
  bool logs() const { return access_log_ != nullptr; }
  void log(const AccessRecord& record);

 private:
  void on_deadline() override;
  void follow_pools(const Plan& plan);
  void follow_listeners(const Plan& plan);
  static void follow_tls(ServedListener& listener, const net::SharedTlsIdentity& identity);
  void bury_if_gone(ServedPool& pool);
  uint64_t next_random();

  std::shared_ptr<const Plan> plan_;
  const size_t worker_;
  Dialer& dialer_;
  Witness& witness_;
  std::unordered_map<size_t, std::unique_ptr<ServedPool>> all_pools_;  // by PoolPlan::id
  std::vector<ServedPool*> pools_;                                     // as in the plan
  std::vector<std::unique_ptr<ServedListener>> all_listeners_;
  std::vector<ServedListener*> listeners_;  // as in the plan's settings
  AccessLogBuffer* const access_log_;       // nullptr: off
  net::Deadline log_flush_;
  BurstLog burst_log_;
  uint64_t id_state_[2];
  uint32_t decisions_ = 0;
};

}  // namespace limpet::proxy
