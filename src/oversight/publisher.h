// What workers serve by: publishes it anew at the end of each turn of the loop in which any of it changed.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <vector>

#include "conf/settings.h"
#include "routing/routes.h"
#include "src/net/tls_server.h"
#include "src/oversight/pools.h"
#include "src/proxy/plan.h"
#include "src/worker.h"

namespace limpet {

// Of the loop's thread.
class Publisher {
 public:
  using Publish = std::function<void(Update)>;

  struct Listener {
    conf::Listener settings;
    bool listed = true;
    net::SharedTlsIdentity tls = {};
    std::shared_ptr<proxy::ListenerMeter> meter = std::make_shared<proxy::ListenerMeter>();
  };

  // `pools` outlives it.
  Publisher(uv_loop_t* loop, const Pools& pools, Publish publish);
  void start();
  void close();  // before the loop ends

  // Puts settings in force, with what their listeners show by TLS.
  void adopt(std::shared_ptr<const conf::Settings> settings, std::vector<net::SharedTlsIdentity> tls);
  void show(std::vector<net::SharedTlsIdentity> tls);

  void changed() { changed_ = true; }
  void changed(OverseenPool& pool) { pool.is_changed = changed_ = true; }
  void withdraw(const OverseenPool& pool, routing::Slot slot);  // what is under way there is cut

  void publish();  // what changed
  Update take();   // that, for whoever publishes it

  // As in the settings; then those that left them and have connections yet.
  const std::vector<Listener>& listeners() const { return listeners_; }
  void forget_unused_listeners();

 private:
  const Pools& pools_;
  const Publish publish_;
  std::shared_ptr<const conf::Settings> settings_;
  std::shared_ptr<const routing::Routes> routes_;
  std::vector<Listener> listeners_;
  std::vector<Update::Withdrawal> withdrawn_;  // since the last plan
  bool changed_ = false;                       // since then
  uv_prepare_t end_of_turn_;
};

}  // namespace limpet
