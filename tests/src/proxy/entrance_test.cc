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

TEST_CASE("whoever has said nothing yet is not waited for at a shutdown, and whoever has begun is") {
  Proxy proxy(behind_a_proxy());
  FakeStream& silent = proxy.client();
  FakeStream& begun = proxy.client();
  begun.sends("PROXY TCP4 198.51.100.7 ");
  proxy.shut_down();
  CHECK_FALSE(silent.open());
  REQUIRE(begun.open());
  begun.sends("192.0.2.1 1 2\r\n");
  CHECK(begun.finished());
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

}  // namespace limpet::proxy::entrance_test
