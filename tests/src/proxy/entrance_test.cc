// How a connection begins: what comes before its first request.
#include "src/proxy/entrance.h"

#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::proxy::entrance_test {

using namespace limpet::test;

conf::Settings behind_a_proxy() {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.listeners[0].proxy_protocol = true;
  return settings;
}

TEST_CASE("a PROXY header tells who the client is, whether or not it comes in one piece") {
  for (const size_t piece : {size_t{1}, kAll}) {
    Proxy proxy(behind_a_proxy());
    FakeStream& client = proxy.client("192.0.2.99");
    client.say("PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n" + std::string(kGet));
    while (client.can_read()) client.read(piece);
    CHECK(contains(proxy.backend().received, "\r\nX-Forwarded-For: 198.51.100.7\r\n"));
  }
}

TEST_CASE("a connection that does not begin with a PROXY header where one is due is closed unserved") {
  Proxy proxy(behind_a_proxy());
  FakeStream& client = proxy.client();
  client.sends(kGet);
  CHECK_FALSE(client.open());
  CHECK(client.received == "");
  CHECK(proxy.net.dials() == 0);
}

TEST_CASE("whoever has connected before a shutdown is served") {
  Proxy proxy(behind_a_proxy());
  FakeStream& silent = proxy.client();
  FakeStream& begun = proxy.client();
  begun.sends("PROXY TCP4 198.51.100.7 ");
  proxy.shut_down();
  REQUIRE(begun.open());
  begun.sends("192.0.2.1 1 2\r\n");
  begun.sends(kGet);
  proxy.backend().sends(kOk);
  CHECK(begun.received.ends_with("ok"));
  CHECK(begun.finished());

  CHECK(silent.open());
  proxy.net.pass(2000);
  CHECK_FALSE(silent.open());
}

TEST_CASE("a header that does not come in time, or is cut, ends its connection") {
  Proxy proxy(behind_a_proxy());
  FakeStream& slow = proxy.client();
  slow.sends("PROXY TCP4 ");
  FakeStream& cut = proxy.client();
  cut.sends("PROXY TCP4 ");
  cut.sends_end();
  CHECK_FALSE(cut.open());
  CHECK(slow.open());
  proxy.net.pass(static_cast<unsigned>(proxy.settings.timeouts.head.count()) + 1000);
  CHECK_FALSE(slow.open());
  CHECK_FALSE(proxy.has_clients());
}

TEST_CASE("a listener counts its connections once, whatever they have become") {
  Proxy proxy(behind_a_proxy());
  const auto counted = [&] { return proxy.plan().listeners[0]->connections.load(); };
  FakeStream& client = proxy.client();
  CHECK(counted() == 1);
  client.sends("PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n");
  CHECK(counted() == 1);
  client.sends_end();
  CHECK(counted() == 0);
}

std::string proxied(std::string_view client) {
  return "PROXY TCP4 " + std::string(client) + " 192.0.2.1 1 2\r\n";
}

conf::Settings limited(conf::Settings settings, conf::ListenerLimits limits) {
  settings.listeners[0].limits = limits;
  settings.listeners[0].trusted_proxies = {conf::Cidr::parse("192.0.2.99").value()};
  return settings;
}

uint64_t refused(const Proxy& proxy, ConnectionLimit limit) {
  return proxy.plan().listeners[0]->refused[static_cast<size_t>(limit)];
}

TEST_CASE("beyond its connections a listener resets who comes, until one ends") {
  Proxy proxy(limited(settings_of(1, {Kind::ip}), {.connections = 2}));
  FakeStream& first = proxy.client("192.0.2.2");
  FakeStream& second = proxy.client("192.0.2.99");
  FakeStream& third = proxy.client("192.0.2.99");
  CHECK(first.open());
  CHECK(second.open());
  CHECK_FALSE(third.open());
  CHECK(third.end_seen == FakeStream::End::reset);
  CHECK(third.received == "");
  CHECK(refused(proxy, ConnectionLimit::connections) == 1);
  first.sends_end();
  CHECK(proxy.client().open());
}

TEST_CASE("beyond its connections a client is reset, a trusted proxy is not, and others are served") {
  Proxy proxy(limited(settings_of(1, {Kind::ip}), {.connections_per_client = 1}));
  FakeStream& first = proxy.client("192.0.2.2");
  FakeStream& second = proxy.client("192.0.2.2");
  CHECK(second.end_seen == FakeStream::End::reset);
  CHECK(proxy.client("192.0.2.3").open());
  for (int i = 0; i < 3; ++i) CHECK(proxy.client("192.0.2.99").open());
  CHECK(refused(proxy, ConnectionLimit::connections_per_client) == 1);
  first.sends_end();
  CHECK(proxy.client("192.0.2.2").open());
}

TEST_CASE("a client that connects too fast is reset for a while") {
  Proxy proxy(limited(settings_of(1, {Kind::ip}), {.new_connections_per_second = 2}));
  for (int i = 0; i < 2; ++i) proxy.client("192.0.2.2").sends_end();
  CHECK(proxy.client("192.0.2.2").end_seen == FakeStream::End::reset);
  CHECK(refused(proxy, ConnectionLimit::new_connections_per_second) == 1);
  proxy.net.pass(500);
  CHECK(proxy.client("192.0.2.2").open());
}

TEST_CASE("by the PROXY protocol each client is counted that a header tells of, from then on") {
  Proxy proxy(limited(behind_a_proxy(), {.connections_per_client = 1}));
  FakeStream& first = proxy.client("192.0.2.50");
  first.sends(proxied("198.51.100.1"));
  FakeStream& silent = proxy.client("192.0.2.50");
  CHECK(silent.open());
  FakeStream& second = proxy.client("192.0.2.50");
  second.sends(proxied("198.51.100.1") + std::string(kGet));
  CHECK(second.end_seen == FakeStream::End::reset);
  CHECK(second.received == "");
  FakeStream& other = proxy.client("192.0.2.50");
  other.sends(proxied("198.51.100.2"));
  CHECK(other.open());
  for (int i = 0; i < 2; ++i) {  // of nobody, as a proxy's own checks are
    FakeStream& nobodys = proxy.client("192.0.2.50");
    nobodys.sends("PROXY UNKNOWN\r\n");
    CHECK(nobodys.open());
  }
  CHECK(refused(proxy, ConnectionLimit::connections_per_client) == 1);
  CHECK(proxy.net.dials() == 0);
  first.sends_end();
  FakeStream& again = proxy.client("192.0.2.50");
  again.sends(proxied("198.51.100.1") + std::string(kGet));
  CHECK(proxy.net.dials() == 1);
}

TEST_CASE("a client whose header does not come is not counted as one, and its place is given back") {
  Proxy proxy(limited(behind_a_proxy(), {.connections = 1, .connections_per_client = 1}));
  FakeStream& wrong = proxy.client();
  CHECK(proxy.client().end_seen == FakeStream::End::reset);
  wrong.sends(kGet);
  CHECK_FALSE(wrong.open());
  FakeStream& next = proxy.client();
  next.sends(proxied("198.51.100.1"));
  CHECK(next.open());
}

}  // namespace limpet::proxy::entrance_test
