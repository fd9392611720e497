// What a worker serves, on a FakeNet: client connections, exchanges and backend connections as they are, with
// routers of their own. Nothing here knows a socket or a thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/settings.h"
#include "routing/session_table.h"
#include "src/proxy/client_connection.h"
#include "src/proxy/context.h"
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

class Stage : proxy::ClientConnections {
 public:
  explicit Stage(conf::Settings given, AccessLogBuffer* log = nullptr)
      : settings(std::move(given)),
        routes_(routing::Routes::from(settings)),
        routers_(make_routers(settings)),
        context_(std::make_unique<proxy::Context>(settings, routes_, routers_, net.deadlines, net.graveyard,
                                                  net, net, log)) {}

  virtual ~Stage() {
    net.after_event = {};
    stop();
    context_.reset();
    net.graveyard.clear();
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  FakeNet net;
  const conf::Settings settings;

  proxy::Context& context() { return *context_; }
  routing::Router& router() { return *routers_.front(); }
  bool has_clients() const { return clients_ != nullptr; }

  // A client connects.
  FakeStream& client(std::string_view address = "192.0.2.1", size_t listener = 0) {
    const conf::Listener& front = settings.listeners[listener];
    const conf::IpAddress ip = conf::IpAddress::parse(address).value();
    auto* const made = new proxy::ClientConnection(
        *context_, front, http::Peer{ip, std::string(address), http::is_trusted(front, ip)}, *this);
    made->next_ = clients_;
    if (clients_ != nullptr) clients_->prev_ = made;
    clients_ = made;
    FakeStream& stream = net.accept();
    made->attach(net::StreamPtr(&stream));
    stream.attach(made->as_owner());
    net.event_over();
    return stream;
  }

  void shut_down() {
    for_each_client([](proxy::ClientConnection& client) { client.shut_down(); });
  }
  void stop() {
    for_each_client([](proxy::ClientConnection& client) { client.close_now(); });
    for (const auto& pool : context_->pools) pool->connections.close_idle();
    net.event_over();
  }

  // Everything that was reserved was used or given back, and every session is accounted for. For when nothing
  // is under way.
  std::string books() {
    const routing::Census census = router().table().census();
    if (census.imbalance != 0) return "the sessions do not balance";
    for (size_t i = 0; i < settings.pools[0].backends.size(); ++i) {
      const auto slot = static_cast<routing::Slot>(i);
      if (router().table().load(slot) != router().table().live(slot))
        return "a reservation was not given back";
    }
    return {};
  }

 private:
  static std::vector<std::unique_ptr<routing::Router>> make_routers(const conf::Settings& settings) {
    std::vector<std::unique_ptr<routing::Router>> routers;
    for (const conf::Pool& pool : settings.pools) {
      routers.push_back(
          std::make_unique<routing::Router>(pool, std::vector{std::string(32, 'k')}, std::string(32, 's')));
    }
    return routers;
  }

  template <class Tell>
  void for_each_client(Tell&& tell) {
    context_->shutting_down = true;
    for (proxy::ClientConnection* client = clients_; client != nullptr;) {
      proxy::ClientConnection* const next = client->next_;
      tell(*client);
      client = next;
    }
    net.event_over();
  }

  void on_client_closed(proxy::ClientConnection& connection) override {
    (connection.prev_ != nullptr ? connection.prev_->next_ : clients_) = connection.next_;
    if (connection.next_ != nullptr) connection.next_->prev_ = connection.prev_;
  }

  const routing::Routes routes_;
  const std::vector<std::unique_ptr<routing::Router>> routers_;
  std::unique_ptr<proxy::Context> context_;
  proxy::ClientConnection* clients_ = nullptr;
};

}  // namespace limpet::test
