// Connections to backends: heads in pieces, reuse, and what a backend says unasked.
#include "src/proxy/backend_connections.h"

#include "tests/src/proxy/proxy_fixture.h"

using namespace limpet;
using namespace limpet::test;

TEST_CASE("an answer whose head comes in two reads keeps the body that comes with the second") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  const std::string body(1000, 'b');
  backend.sends("HTTP/1.1 200 OK\r\nContent-Le");
  backend.sends("ngth: 1000\r\n\r\n" + body);
  CHECK(client.received.ends_with("\r\n\r\n" + body));
}
