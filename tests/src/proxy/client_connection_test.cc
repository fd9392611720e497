// What a client sees of its connection: order, keep-alive, ends and shutdown.
#include "src/proxy/client_connection.h"

#include "tests/src/proxy/proxy_fixture.h"

using namespace limpet;
using namespace limpet::test;

TEST_CASE("a request reaches a backend and its answer the client, and both connections stay") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  CHECK(backend.received.starts_with("GET /x HTTP/1.1\r\nHost: a\r\n"));
  backend.sends(kOk);
  CHECK(client.received.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(client.received.ends_with("\r\n\r\nok"));
  CHECK(client.open());
  CHECK_FALSE(client.finished());
  CHECK(backend.open());
}
