// Connections to backends: which one is used, how long they are kept, and what a backend says unasked.
#include "src/proxy/backend_connections.h"

#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::proxy::backend_connections_test {

using namespace limpet::test;

// One request and its answer, on the connection that is dialled as the index-th or was before.
void serve(Proxy& proxy, FakeStream& client, size_t index, std::string_view answer = kOk) {
  client.sends(kGet);
  proxy.backend(index).sends(answer);
}

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

TEST_CASE("of several idle connections the one used last is used next") {
  Proxy proxy;
  FakeStream& one = proxy.client();
  FakeStream& two = proxy.client();
  one.sends(kGet);
  two.sends(kGet);
  proxy.backend(1).sends(kOk);
  proxy.backend(0).sends(kOk);
  two.sends(kGet);
  CHECK(count(proxy.dialed(0).received, "GET ") == 2);
  CHECK(count(proxy.dialed(1).received, "GET ") == 1);
}

TEST_CASE("a connection that the backend closes while it is idle is not used again") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  serve(proxy, client, 0);
  proxy.dialed(0).sends_end();
  CHECK_FALSE(proxy.dialed(0).open());
  serve(proxy, client, 1);
  CHECK(count(client.received, "200 OK") == 2);
}

TEST_CASE("a connection that resets while it is idle is not used again") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  serve(proxy, client, 0);
  proxy.dialed(0).sends_abort();
  CHECK_FALSE(proxy.dialed(0).open());
  serve(proxy, client, 1);
}

TEST_CASE("a backend that speaks unasked is not listened to") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  serve(proxy, client, 0);
  proxy.dialed(0).sends("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
  CHECK_FALSE(proxy.dialed(0).open());
  serve(proxy, client, 1);
  CHECK_FALSE(contains(client.received, "poison"));
}

TEST_CASE("what a backend says beyond its answer reaches nobody, and ends the connection") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  serve(proxy, client, 0, std::string(kOk) + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
  CHECK(client.received.ends_with("ok"));
  CHECK_FALSE(proxy.dialed(0).open());
}

// ---- what comes after an answer

constexpr std::string_view kPoison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

// The client sends two requests, and what they come to within one poll goes on.
FakeStream& answer_first_of_two(Proxy& proxy, FakeStream& client) {
  client.sends(std::string(kGet) + std::string(kGet));
  FakeStream& backend = proxy.backend();
  proxy.net.events_in_turn = 100;
  backend.sends(kOk);
  return backend;
}

uint64_t strays(Proxy& proxy) { return proxy.context().pool(0).meter().backends[0].strays.value(); }

TEST_CASE("a connection is used again only when another poll has brought nothing beyond the answer") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& backend = answer_first_of_two(proxy, client);
  CHECK(count(backend.received, "GET ") == 1);
  backend.say(kPoison);
  proxy.net.end_turn();
  CHECK_FALSE(backend.open());
  CHECK(count(backend.received, "GET ") == 1);
  CHECK(strays(proxy) == 1);
  proxy.backend(1);
  proxy.net.end_turn();
  proxy.dialed(1).sends(kOk);
  proxy.net.end_turn();
  CHECK(count(client.received, "ok") == 2);
  CHECK_FALSE(contains(client.received, "poison"));
}

TEST_CASE(
    "a request waits for a connection that rests rather than dial, and dials where others were faster") {
  Proxy proxy;
  FakeStream& one = proxy.client();
  FakeStream& other = proxy.client();
  FakeStream& backend = answer_first_of_two(proxy, one);
  other.sends(kGet);
  CHECK(proxy.net.dials() == 1);
  proxy.net.end_turn();
  CHECK(count(backend.received, "GET ") == 2);
  CHECK(proxy.net.dials() == 2);
}

TEST_CASE("of several idle connections one that has rested is used, and nobody waits") {
  Proxy proxy;
  FakeStream& one = proxy.client();
  FakeStream& two = proxy.client();
  one.sends(kGet);
  two.sends(kGet);
  proxy.backend(0);
  proxy.backend(1);
  proxy.dialed(0).sends(kOk);
  proxy.net.pass(10);
  proxy.net.events_in_turn = 100;
  proxy.dialed(1).sends(kOk);
  two.sends(kGet);
  proxy.net.end_turn();
  CHECK(count(proxy.dialed(0).received, "GET ") == 2);
  CHECK(count(proxy.dialed(1).received, "GET ") == 1);
}

TEST_CASE("a client that leaves while its request waits for a connection leaves that as it is") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& backend = answer_first_of_two(proxy, client);
  client.sends_abort();
  proxy.net.end_turn();
  CHECK(backend.open());
  CHECK(count(backend.received, "GET ") == 1);
  CHECK(proxy.net.dials() == 1);
}

TEST_CASE("a request that waits for a connection is cut when its backend is withdrawn") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  serve(proxy, client, 0);
  proxy.net.events_in_turn = 100;
  client.sends(kGet);
  proxy.withdraw(0);
  proxy.net.end_turn();
  CHECK(contains(client.received, " 503 "));
  CHECK(count(proxy.dialed(0).received, "GET ") == 1);
}

TEST_CASE("each connection that a backend spoke on unasked is counted, idle or with its answer") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  serve(proxy, client, 0);
  proxy.dialed(0).sends("\r\n");
  CHECK(strays(proxy) == 1);
  serve(proxy, client, 1, std::string(kOk) + "x");
  CHECK(strays(proxy) == 2);
  serve(proxy, client, 2);
  proxy.dialed(2).sends_end();
  CHECK(strays(proxy) == 2);
}

TEST_CASE("a connection is not kept when the backend says so, speaks HTTP/1.0, or ends its body by ending") {
  for (const std::string_view last :
       {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\n\r\nok"}) {
    CAPTURE(last);
    Proxy proxy;
    FakeStream& client = proxy.client();
    serve(proxy, client, 0, last);
    proxy.dialed(0).sends_end();
    CHECK(contains(client.received, "ok"));
    client.sends(kGet);
    CHECK(proxy.net.dials() == 2);
  }
}

TEST_CASE("an HTTP/1.0 backend that offers keep-alive is taken at its word") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  serve(proxy, client, 0, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok");
  client.sends(kGet);
  CHECK(proxy.net.dials() == 1);
}

TEST_CASE("an unused connection is kept for keep_alive and no longer") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.pools[0].timeouts.keep_alive = conf::Duration(5000);
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  serve(proxy, client, 0);
  proxy.net.pass(4'900);
  serve(proxy, client, 0);
  proxy.net.pass(4'900);
  CHECK(proxy.dialed(0).open());
  proxy.net.pass(200);
  CHECK_FALSE(proxy.dialed(0).open());
}

TEST_CASE("every address of a backend's name is tried before the backend is given up") {
  Proxy proxy;
  proxy.net.addresses = 3;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.dialed(0).refuse();
  proxy.dialed(1).refuse();
  CHECK(client.received == "");
  proxy.backend(2).sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("a connection goes only to the backend that it was made to") {
  Proxy proxy(2, {Kind::ip});
  // Addresses of clients that live at different backends.
  std::vector<const conf::Address*> seen;
  for (int last = 1; last < 20; ++last) {
    FakeStream& client = proxy.client("192.0.2." + std::to_string(last));
    const size_t before = proxy.net.dials();
    client.sends(kGet);
    FakeStream* stream = nullptr;
    for (size_t i = 0; i < proxy.net.dials(); ++i) {
      FakeStream& candidate = proxy.dialed(i);
      candidate.connect();
      if (contains(candidate.received, "GET ")) stream = &candidate;
    }
    REQUIRE(stream != nullptr);
    if (proxy.net.dials() > before) seen.push_back(stream->address());
    stream->sends(kOk);
    stream->received.clear();
  }
  // Two connections served all, one for each backend.
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] != seen[1]);
}

TEST_CASE("idle connections that hold what is short are given up by a reset, and no others") {
  Proxy proxy;
  FakeStream& one = proxy.client();
  FakeStream& two = proxy.client();
  FakeStream& three = proxy.client();
  for (FakeStream* client : {&one, &two, &three}) client->sends(kGet);
  for (size_t i = 0; i < 3; ++i) proxy.backend(i).number = 10 + static_cast<int>(i);
  proxy.dialed(0).sends(kOk);
  proxy.dialed(1).sends(kOk);
  proxy.context().give_up_idle(11);
  CHECK(proxy.dialed(0).end_seen == FakeStream::End::reset);
  CHECK(proxy.dialed(1).open());
  proxy.context().give_up_idle(net::kAnyDescriptor);
  CHECK_FALSE(proxy.dialed(1).open());
  CHECK(proxy.dialed(2).open());
  proxy.dialed(2).sends(kOk);
  CHECK(count(three.received, "200 OK") == 1);
}

}  // namespace limpet::proxy::backend_connections_test
