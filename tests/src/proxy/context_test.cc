// What a worker keeps of listeners, pools and slots that left the plan: no more than what is under way needs.
#include "src/proxy/context.h"

#include <memory>
#include <utility>

#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::proxy::context_test {

using namespace limpet::test;

conf::Settings two_listeners() {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.listeners.resize(2);
  settings.listeners[0].address.port = 1;
  settings.listeners[1].name = "side";
  settings.listeners[1].address.port = 2;
  return settings;
}

// The plan in force without the first listener.
void remove_front(Proxy& proxy) {
  auto next = std::make_shared<Plan>(proxy.plan());
  conf::Settings settings = *next->settings;
  settings.listeners.erase(settings.listeners.begin());
  next->settings = std::make_shared<const conf::Settings>(std::move(settings));
  next->routes = std::make_shared<const routing::Routes>(routing::Routes::from(*next->settings));
  next->listeners.erase(next->listeners.begin());
  proxy.follow(std::move(next));
}

void remove_pool(Proxy& proxy) {
  auto next = std::make_shared<Plan>(proxy.plan());
  conf::Settings settings = *next->settings;
  settings.pools.clear();
  settings.routes.clear();
  next->settings = std::make_shared<const conf::Settings>(std::move(settings));
  next->routes = std::make_shared<const routing::Routes>(routing::Routes::from(*next->settings));
  next->pools.clear();
  proxy.follow(std::move(next));
}

TEST_CASE("connections to a backend whose name has lost an address are not used again") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.backend().sends(kOk);
  FakeStream& other = proxy.client("192.0.2.2");
  other.sends(kGet);
  FakeStream& in_use = proxy.dialed(0);
  CHECK(in_use.open());
  auto pool = std::make_shared<PoolPlan>(*proxy.plan().pools.front());
  ++pool->fleet.backends[0].lost_addresses;
  auto next = std::make_shared<Plan>(proxy.plan());
  next->pools.front() = std::move(pool);
  proxy.follow(std::move(next));
  CHECK(in_use.open());
  in_use.sends(kOk);
  CHECK(other.received.ends_with("ok"));
  CHECK_FALSE(in_use.open());
  client.sends(kGet);
  proxy.backend(1).sends(kOk);
}

TEST_CASE("a connection of a listener that left the plan is answered once more, and told to close") {
  Proxy proxy(two_listeners());
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  backend.sends(kOk);
  client.received.clear();
  remove_front(proxy);
  CHECK(client.open());
  client.sends(kGet);
  backend.sends(kOk);
  CHECK(contains(client.received, "200 OK"));
  CHECK(contains(client.received, "Connection: close"));
  CHECK(client.finished());
}

TEST_CASE(
    "a request at a listener that left the plan, for a pool that is gone, is told that nobody serves it") {
  Proxy proxy(two_listeners());
  FakeStream& client = proxy.client();
  remove_front(proxy);
  remove_pool(proxy);
  client.sends(kGet);
  CHECK(client.received.starts_with("HTTP/1.1 404 "));
}

TEST_CASE("a pool that left the plan is there until its last exchange is over") {
  Proxy proxy;
  const std::weak_ptr<const PoolPlan> pool = proxy.plan().pools.front();
  const size_t id = proxy.plan().pools.front()->id;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  remove_pool(proxy);
  CHECK(proxy.context().find_pool(id) != nullptr);
  backend.sends(kOk);
  CHECK(client.received.ends_with("ok"));
  CHECK(proxy.context().find_pool(id) == nullptr);
  CHECK(pool.expired());
}

TEST_CASE("the plan that a request came under is kept until the request is answered") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  const std::weak_ptr<const PoolPlan> before = proxy.plan().pools.front();
  proxy.put(0, routing::BackendState::draining);
  CHECK_FALSE(before.expired());
  backend.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
  CHECK(before.expired());
  backend.sends("ok");
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("a plan that no request needs goes with the next") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.backend().sends(kOk);
  const std::weak_ptr<const PoolPlan> before = proxy.plan().pools.front();
  proxy.put(0, routing::BackendState::draining);
  CHECK(before.expired());
}

}  // namespace limpet::proxy::context_test
