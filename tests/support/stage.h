// What a worker serves, on a FakeNet: client connections, exchanges and backend connections as they are, with
// routers of their own. Nothing here knows a socket or a thread.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/settings.h"
#include "routing/session_table.h"
#include "src/proxy/context.h"
#include "src/proxy/entrance.h"
#include "tests/support/fake_net.h"

namespace limpet::test {

// One listener, and a pool "shop" with backends app-0, app-1, ... that serves everything.
inline conf::Settings settings_of(size_t backends, std::vector<conf::AffinityKind> affinity) {
  conf::Settings settings;
  settings.listeners.resize(1);
  settings.listeners[0].name = "front";
  settings.routes.resize(1);
  settings.routes[0].pool = "shop";
  settings.pools.resize(1);
  conf::Pool& pool = settings.pools[0];
  pool.name = "shop";
  pool.affinity = std::move(affinity);
  pool.placement = conf::Placement::round_robin;
  pool.max_sessions = 1000;
  pool.session_id.sources = {{conf::SessionIdSource::Place::cookie, "JSESSIONID"}};
  for (size_t i = 0; i < backends; ++i) {
    conf::Backend backend;
    backend.name = "app-" + std::to_string(i);
    backend.address = {conf::Address::Kind::ip, "127.0.0.1", static_cast<uint16_t>(9000 + i)};
    pool.backends.push_back(backend);
  }
  return settings;
}

// One worker's plan for these settings, with every backend up.
inline std::shared_ptr<proxy::Plan> plan_of(conf::Settings given) {
  auto plan = std::make_shared<proxy::Plan>();
  auto settings = std::make_shared<const conf::Settings>(std::move(given));
  plan->routes = std::make_shared<const routing::Routes>(routing::Routes::from(*settings));
  for (const conf::Pool& pool : settings->pools) {
    plan->pools.push_back(std::make_shared<const proxy::PoolPlan>(proxy::PoolPlan{
        .id = plan->pools.size(),
        .source = settings,
        .settings = &pool,
        .router = std::make_shared<routing::Router>(pool, std::vector{std::string(32, 'k')},
                                                    std::string(32, 's'), routing::Router::new_memory(pool)),
        .meters = {std::make_shared<proxy::PoolMeter>()},
        .fleet = routing::Fleet::from(pool),
        .tls = nullptr}));
  }
  for (size_t i = 0; i < settings->listeners.size(); ++i)
    plan->listeners.push_back(std::make_shared<proxy::ListenerMeter>());
  plan->tls.resize(settings->listeners.size());
  plan->settings = std::move(settings);
  return plan;
}

class Stage : proxy::ClientConnections, proxy::Witness {
 public:
  explicit Stage(conf::Settings given, AccessLogBuffer* log = nullptr)
      : plan_(plan_of(std::move(given))),
        settings_(plan_->settings),
        router_(plan_->pools.front()->router),
        settings(*settings_),
        context_(new proxy::Context(plan_, 0, net.deadlines, net.graveyard, net.polls, net, net, net, *this,
                                    log)) {
    context_->permit_calls->open([] {});
    for (const auto& pool : plan_->pools) pool->router->memory()->permits->follow(pool->fleet);
  }

  virtual ~Stage() {
    net.after_event = {};
    stop();
    context_.reset();
    net.graveyard.clear();
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  FakeNet net;

 private:
  std::shared_ptr<proxy::Plan> plan_;
  const std::shared_ptr<const conf::Settings> settings_;  // of the first plan, as is the next
  const std::shared_ptr<routing::Router> router_;

 public:
  const conf::Settings& settings;
  std::vector<std::pair<routing::Slot, health::Evidence>> evidence;  // that was told of backends
  std::vector<std::pair<routing::Slot, std::string>> failures;       // of these: how

  proxy::Context& context() { return *context_; }
  routing::Router& router() { return *router_; }

  // A backend is in this state from now on.
  void put(routing::Slot slot, routing::BackendState state) {
    auto pool = std::make_shared<proxy::PoolPlan>(*plan_->pools.front());
    routing::Backend& backend = pool->fleet.backends[slot];
    backend.state = state;
    router().table().homes().set_in_service(slot, backend.serves_its_own());
    router().memory()->permits->follow(pool->fleet);
    auto next = std::make_shared<proxy::Plan>(*plan_);
    next->pools.front() = std::move(pool);
    follow(std::move(next));
  }
  // Whoever waited for a place and need not any more goes on.
  void deliver_permits() {
    context_->permit_calls->deliver();
    net.event_over();
  }
  const proxy::Plan& plan() const { return *plan_; }
  void follow(std::shared_ptr<proxy::Plan> next) {
    plan_ = std::move(next);
    context_->follow(plan_);
    net.event_over();
  }
  void withdraw(routing::Slot slot) {
    for_each([&](proxy::ClientConnection& client) { client.withdraw(context_->pool(0), slot); });
    net.event_over();
  }
  bool has_clients() const { return !empty(); }

  // A client connects.
  FakeStream& client(std::string_view address = "192.0.2.1", size_t listener = 0) {
    proxy::ServedListener& front = context_->listener(listener);
    const conf::IpAddress ip = conf::IpAddress::parse(address).value();
    FakeStream& stream = net.accept();
    proxy::enter(*context_, front, http::Peer{ip, std::string(address), http::is_trusted(front.settings, ip)},
                 *this, net::StreamPtr(&stream));
    net.event_over();
    return stream;
  }

  void shut_down() {
    context_->shutting_down = true;
    for_each([](proxy::ClientConnection& client) { client.shut_down(); });
    net.event_over();
  }
  void stop() {
    context_->shutting_down = true;
    for_each([](proxy::ClientConnection& client) { client.close_now(); });
    net.event_over();
    context_->close_idle();
    net.event_over();
  }

  // Everything that was reserved was used or given back, and every session is accounted for. For when nothing
  // is under way.
  std::string books() {
    const routing::Census census = router().table().census();
    if (census.imbalance != 0) return "the sessions do not balance";
    for (size_t i = 0; i < settings.pools[0].backends.size(); ++i) {
      const auto slot = static_cast<routing::Slot>(i);
      const auto going = router().table().sessions_at(slot);
      const auto moving = std::count_if(going.begin(), going.end(), [&](const routing::SessionView& session) {
        return session.booked_at != slot;
      });
      if (router().table().homes().load(slot) != router().table().homes().live(slot) + moving)
        return "a reservation was not given back";
    }
    return {};
  }

 private:
  void on_evidence(size_t, routing::Slot slot, const health::Evidence& what) override {
    evidence.push_back({slot, what});
    if (what.kind == health::Evidence::Kind::failed) failures.emplace_back(slot, what.how);
  }

  void on_client_closed() override {}

  std::unique_ptr<proxy::Context> context_;
};

}  // namespace limpet::test
