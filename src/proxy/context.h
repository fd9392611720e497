// What the exchanges of one worker share: the plan in force, the pools, time, and the worker's own rooms
// for scratch, log and connections. One worker, one thread: nothing is locked in here; what the workers share
// (routers, the access log) locks itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"
#include "src/access_log.h"
#include "src/net/gather.h"
#include "src/net/loop.h"
#include "src/proxy/backend_connections.h"
#include "src/proxy/clock.h"
#include "src/proxy/plan.h"

namespace limpet::proxy {

class Exchange;

inline net::Millis millis(conf::Duration duration) { return static_cast<net::Millis>(duration.count()); }

// Hears what requests tell about backends' health.
class Witness {
 public:
  // Pools by PoolPlan::id.
  virtual void on_backend_failed(size_t pool, routing::Slot slot, BackendFailure how) = 0;
  virtual void on_backend_worked(size_t pool, routing::Slot slot) = 0;  // after it failed

 protected:
  ~Witness() = default;
};

// A pool as one worker serves it: by the plan in force, or, once that knows the pool no more, by the last
// that did, for what is still under way.
class ServedPool {
 public:
  ServedPool(std::shared_ptr<const Plan> plan, size_t place, size_t worker, net::Deadlines& deadlines,
             net::Graveyard& graveyard, Dialer& dialer, Witness& witness);

  void follow(std::shared_ptr<const Plan> plan, size_t place);

  size_t id() const { return now_->id; }
  const conf::Pool& settings() const { return *now_->settings; }
  routing::Router& router() const { return *now_->router; }
  const routing::Fleet& fleet() const { return now_->fleet; }
  PoolMeter& meter() const { return *meter_; }
  const std::string& cookie_name() const { return cookie_name_; }  // empty: the pool sets none
  const std::string& cookie_attributes() const {
    return cookie_attributes_;
  }  // what follows the token in Set-Cookie

  // Of requests that came to a backend.
  void failed(routing::Slot slot, BackendFailure how);
  void worked(routing::Slot slot);

  BackendConnections connections;

 private:
  std::shared_ptr<const Plan> plan_;
  const PoolPlan* now_ = nullptr;  // in plan_
  std::shared_ptr<PoolMeter> meter_;
  const size_t worker_;
  Witness& witness_;
  std::vector<bool> suspected_;  // by slot: failed since it last worked
  std::string cookie_name_, cookie_attributes_;
};

// A listener as one worker serves it; known by its address, whatever its name. It outlives its connections.
struct ServedListener {
  conf::Listener settings;
  size_t place = 0;  // in the plan's settings; kGone: they know it no more
  static constexpr size_t kGone = SIZE_MAX;
};

class Context final : net::DeadlineOwner {
 public:
  Context(std::shared_ptr<const Plan> plan, size_t worker, net::Deadlines& deadlines,
          net::Graveyard& graveyard, Dialer& dialer, Clock& clock, Witness& witness,
          AccessLogBuffer* access_log);
  ~Context();  // no connection is left

  // Serves by this plan from now on.
  void follow(std::shared_ptr<const Plan> plan);

  const conf::Settings& settings() const { return *plan_->settings; }
  const routing::Routes& routes() const { return *plan_->routes; }
  ServedPool& pool(size_t place) const { return *pools_[place]; }  // of the plan
  const std::vector<std::unique_ptr<ServedPool>>& all_pools() const { return all_pools_; }
  const ServedListener& listener(size_t place) const { return *listeners_[place]; }  // of the plan's settings

  net::Deadlines& deadlines;
  net::Graveyard& graveyard;
  Clock& clock;

  // Filled and emptied within one event, each for one stream at a time.
  net::Gather to_client;
  net::Gather to_backend;

  uint64_t process_number = 0;  // random, the same for all workers: see http::LoopMark

  bool shutting_down = false;  // answers say close, idle connections end

  std::unique_ptr<Exchange> new_exchange();       // a used one where there is one, with its memory
  void recycle(std::unique_ptr<Exchange> ended);  // one that is over, from the last thing it calls
  std::string_view new_request_id(std::string& out);
  bool times_this_decision() {
    return (++decisions_ & 15) == 0;
  }  // every 16th: reading the clock costs as much
  bool logs() const { return access_log_ != nullptr; }
  void log(const AccessRecord& record);

 private:
  void on_deadline() override;

  std::shared_ptr<const Plan> plan_;
  const size_t worker_;
  Dialer& dialer_;
  Witness& witness_;
  std::vector<std::unique_ptr<ServedPool>> all_pools_;
  std::vector<ServedPool*> pools_;  // as in the plan
  std::vector<std::unique_ptr<ServedListener>> all_listeners_;
  std::vector<ServedListener*> listeners_;  // as in the plan's settings
  AccessLogBuffer* const access_log_;       // nullptr: off
  net::Deadline log_flush_;
  std::vector<std::unique_ptr<Exchange>> spare_;
  uint64_t id_state_[2];
  uint32_t decisions_ = 0;
};

}  // namespace limpet::proxy
