// What a client sees of its connection: order, keep-alive, ends, patience with it and shutdown.
#include "src/proxy/h1_client.h"

#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::proxy::h1_client_test {

using namespace limpet::test;

constexpr std::string_view kClosing = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

std::string get(std::string_view path) { return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n"; }
std::string answer(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

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

TEST_CASE("a request that comes octet by octet is served like one that comes whole") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.say(kGet);
  while (client.can_read()) client.read(1);
  FakeStream& backend = proxy.backend();
  backend.say(kOk);
  while (backend.can_read()) backend.read(1);
  CHECK(client.received.ends_with("\r\n\r\nok"));
}

TEST_CASE("pipelined requests reach the backend one after another and are answered in order") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(get("/1") + get("/2") + get("/3"));
  FakeStream& backend = proxy.backend();
  CHECK(count(backend.received, "GET ") == 1);
  backend.sends(answer("one"));
  CHECK(count(backend.received, "GET ") == 2);
  CHECK(contains(backend.received, "GET /2 "));
  backend.sends(answer("two"));
  backend.sends(answer("three"));
  CHECK(proxy.net.dials() == 1);
  CHECK(client.received.find("one") < client.received.find("two"));
  CHECK(client.received.ends_with("three"));
}

TEST_CASE("the next pipelined request waits until a slow client has taken the last answer") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.room = 0;
  client.sends(get("/1") + get("/2"));
  FakeStream& backend = proxy.backend();
  backend.sends(answer("one"));
  CHECK(count(backend.received, "GET ") == 1);
  client.drain();
  CHECK(count(backend.received, "GET ") == 2);
}

TEST_CASE("a head that was begun before a slow client has taken the last answer is served after that") {
  Proxy proxy;
  proxy.net.events_in_turn = 100;
  FakeStream& client = proxy.client();
  client.room = 0;
  client.sends(get("/1") + "GET /2 HTTP/1.1\r\n");
  FakeStream& backend = proxy.backend();
  proxy.net.end_turn();
  backend.sends(answer("one"));
  proxy.net.end_turn();
  CHECK(client.queued() != 0);
  client.sends("Host: a\r\n\r\n");
  proxy.net.end_turn();
  CHECK(count(backend.received, "GET ") == 1);
  client.drain();
  proxy.net.end_turn();
  CHECK(count(backend.received, "GET ") == 2);
}

TEST_CASE("empty lines before a request are skipped") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("\r\n");
  client.sends("\r");
  client.sends("\n" + std::string(kGet));
  CHECK(contains(proxy.backend().received, "GET /x "));
}

TEST_CASE("a client that asks to close gets its answer, the end, and may take its time to end as well") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kClosing);
  proxy.backend().sends(kOk);
  CHECK(contains(client.received, "\r\nConnection: close\r\n"));
  CHECK(client.finished());
  CHECK(client.open());
  client.sends_end();
  CHECK_FALSE(client.open());
  CHECK(client.end_seen == FakeStream::End::orderly);
}

TEST_CASE(
    "what a client sends after its last answer is read, so that the answer is not lost, and goes nowhere") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kClosing);
  FakeStream& backend = proxy.backend();
  backend.sends(kOk);
  const size_t received = backend.received.size();
  client.sends(get("/late"));
  CHECK(client.unread() == 0);
  CHECK(client.open());
  CHECK(backend.received.size() == received);
  CHECK(proxy.net.dials() == 1);
}

TEST_CASE("lingering ends after two seconds") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kClosing);
  proxy.backend().sends(kOk);
  proxy.net.pass(1900);
  CHECK(client.open());
  proxy.net.pass(200);
  CHECK_FALSE(client.open());
}

TEST_CASE("lingering ends when a client goes on sending without end") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kClosing);
  proxy.backend().sends(kOk);
  const std::string flood(64 * 1024, 'f');
  for (int i = 0; i < 255; ++i) client.sends(flood);
  CHECK(client.open());
  for (int i = 0; i < 2; ++i) client.sends(flood);
  CHECK_FALSE(client.open());
}

TEST_CASE("HTTP/1.0 closes after the answer, unless the client asked to keep the connection") {
  Proxy proxy;
  FakeStream& closing = proxy.client();
  closing.sends("GET / HTTP/1.0\r\n\r\n");
  FakeStream& backend = proxy.backend();
  backend.sends(kOk);
  CHECK(closing.finished());
  FakeStream& keeping = proxy.client();
  keeping.sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  backend.sends(kOk);
  CHECK(contains(keeping.received, "\r\nConnection: keep-alive\r\n"));
  CHECK_FALSE(keeping.finished());
}

TEST_CASE("an HTTP/1.0 client gets a chunked answer unchunked, up to the connection's end") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  proxy.backend().sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
  CHECK(client.received.ends_with("\r\n\r\nok"));
  CHECK_FALSE(contains(client.received, "Transfer-Encoding"));
  CHECK(client.finished());
}

conf::Settings half_closing() {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.listeners[0].half_close = true;
  return settings;
}

TEST_CASE("a client that ends has left: its exchange ends with it, and at the backend as well") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  SUBCASE("while its answer is awaited") {}
  SUBCASE("within its answer") { backend.sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"); }
  client.sends_end();
  CHECK_FALSE(client.open());
  CHECK_FALSE(backend.open());
  CHECK_FALSE(contains(client.received, "502"));
  CHECK(proxy.failures.empty());
}

TEST_CASE("a client that ends before its request went anywhere is not served") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.say(kGet);
  client.sends_end();
  FakeStream& backend = proxy.dialed(0);
  CHECK_FALSE(backend.open());
  CHECK(backend.received == "");
  CHECK_FALSE(client.open());
}

TEST_CASE("what a client that ends had pipelined behind the request under way is not begun") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(get("/1") + get("/2"));
  FakeStream& backend = proxy.backend();
  client.sends_end();
  CHECK_FALSE(backend.open());
  CHECK(count(backend.received, "GET ") == 1);
  CHECK(proxy.net.dials() == 1);
  CHECK_FALSE(client.open());
}

TEST_CASE("a client that ends when its answer has been relayed gets all of it, however slowly it takes it") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.room = 0;
  client.sends(kGet);
  proxy.backend().sends(kOk);
  client.sends_end();
  client.drain();
  CHECK(client.received.ends_with("ok"));
  CHECK(client.end_seen == FakeStream::End::orderly);
}

TEST_CASE("where a listener says half_close, a client that has ended still gets its answers") {
  Proxy proxy(half_closing());
  FakeStream& client = proxy.client();
  client.say(get("/1") + get("/2"));
  client.sends_end();
  FakeStream& backend = proxy.backend();
  backend.sends(answer("one"));
  CHECK(client.open());
  backend.sends(answer("two"));
  CHECK(client.received.ends_with("two"));
  CHECK_FALSE(client.open());
  CHECK(client.end_seen == FakeStream::End::orderly);
}

TEST_CASE(
    "where a listener says half_close, a request is served that waits until the answer before it has left") {
  Proxy proxy(half_closing());
  FakeStream& client = proxy.client();
  client.room = 0;
  client.sends(get("/1") + get("/2"));
  FakeStream& backend = proxy.backend();
  backend.sends(answer("one"));
  client.sends_end();
  CHECK(client.open());
  client.room = kAll;
  client.drain();
  backend.sends(answer("two"));
  CHECK(client.received.ends_with("two"));
  CHECK_FALSE(client.open());
}

TEST_CASE("a client that resets takes its exchange and its backend connection with it") {
  Proxy proxy(half_closing());
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  client.sends_abort();
  CHECK_FALSE(client.open());
  CHECK_FALSE(backend.open());
}

// ---- backpressure

TEST_CASE(
    "a client whose body the backend does not take is read no further than to the limit, and on from there") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  constexpr size_t kSize = 1'000'000;
  client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n");
  FakeStream& backend = proxy.backend();
  const size_t head = backend.received.size();
  backend.room = 0;
  client.sends(std::string(kSize, 'b'));
  CHECK(client.paused());
  const size_t held = kSize - client.unread();
  CHECK(held <= net::Loop::kReadSize + proxy::H1Client::kMostWaiting + net::Loop::kReadSize);
  CHECK(backend.queued() <= net::Loop::kReadSize);
  for (int i = 0; i < 100 && (client.unread() != 0 || backend.queued() != 0); ++i) {
    backend.drain();
    client.read_all();
    REQUIRE(backend.queued() <= net::Loop::kReadSize + proxy::H1Client::kMostWaiting);
  }
  CHECK(backend.received.size() == head + kSize);
  backend.sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("a client that pipelines without end is read no further than to the limit") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(get("/1"));
  FakeStream& backend = proxy.backend();
  std::string more;
  while (more.size() < 400'000) more.append(get("/more"));
  client.sends(more);
  CHECK(client.paused());
  CHECK(more.size() - client.unread() <= proxy::H1Client::kMostWaiting + net::Loop::kReadSize);
  const size_t requests = count(more, "GET ") + 1;
  for (size_t i = 0; i < requests; ++i) {
    backend.sends(kOk);
    client.read_all();
  }
  CHECK(count(client.received, "200 OK") == requests);
}

// ---- time

TEST_CASE("an idle client's connection is closed without a word") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  proxy.net.pass(59'000);
  CHECK(client.open());
  proxy.net.pass(2'000);
  CHECK_FALSE(client.open());
  CHECK(client.received == "");
}

TEST_CASE("a head that does not come in time is answered 408, however it trickles") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("GET / HTTP/1.1\r\n");
  for (int second = 0; second < 14; ++second) {
    proxy.net.pass(1'000);
    client.sends("X: y\r\n");
  }
  CHECK(client.received == "");
  proxy.net.pass(1'100);
  CHECK(client.received.starts_with("HTTP/1.1 408 "));
  CHECK(client.finished());
}

TEST_CASE("the idle time begins anew with each request") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  for (int i = 0; i < 3; ++i) {
    proxy.net.pass(50'000);
    client.sends(kGet);
    proxy.backend(static_cast<size_t>(i))
        .sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  }
  CHECK(count(client.received, "200 OK") == 3);
  CHECK(client.open());
}

TEST_CASE("an answer that its client never takes is given up, and the client sees a reset, not an end") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.room = 100;
  client.sends("GET / HTTP/1.0\r\n\r\n");
  FakeStream& backend = proxy.backend();
  backend.say("HTTP/1.0 200 OK\r\n\r\n" + std::string(1000, 'b'));
  backend.sends_end();
  proxy.net.pass(600'000);
  CHECK_FALSE(client.open());
  CHECK(client.end_seen == FakeStream::End::reset);
}

// ---- shutdown

TEST_CASE("shutting down ends an idle connection at once, and waits for the first request of a new one") {
  Proxy proxy;
  FakeStream& used = proxy.client();
  used.sends(kGet);
  proxy.backend().sends(kOk);
  FakeStream& fresh = proxy.client();
  FakeStream& silent = proxy.client();
  proxy.shut_down();
  CHECK_FALSE(used.open());
  CHECK(used.end_seen == FakeStream::End::orderly);

  REQUIRE(fresh.open());
  fresh.sends(kGet);
  proxy.backend(0).sends(kOk);
  CHECK(contains(fresh.received, "\r\nConnection: close\r\n"));
  CHECK(fresh.received.ends_with("ok"));
  CHECK(fresh.finished());

  CHECK(silent.open());
  proxy.net.pass(2000);
  CHECK_FALSE(silent.open());
  CHECK(silent.end_seen == FakeStream::End::orderly);
}

TEST_CASE("shutting down waits for the answer under way, and says that it is the last") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.shut_down();
  proxy.backend().sends(kOk);
  CHECK(contains(client.received, "\r\nConnection: close\r\n"));
  CHECK(client.received.ends_with("ok"));
  CHECK(client.finished());
}

TEST_CASE("shutting down waits until a slow client has taken its answer, and no longer") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.room = 0;
  client.sends(kGet);
  proxy.backend().sends(kOk);
  proxy.shut_down();
  CHECK(client.open());
  client.drain();
  CHECK(client.received.ends_with("ok"));
  CHECK(client.finished());
}

TEST_CASE("stopping answers what waits for its backend, and closes everything") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  proxy.stop();
  CHECK(client.received.starts_with("HTTP/1.1 503 "));
  CHECK_FALSE(client.open());
  CHECK_FALSE(backend.open());
  CHECK_FALSE(proxy.has_clients());
}

}  // namespace limpet::proxy::h1_client_test
