// The life of a request: retries and what forbids them, patience, what passes both ways, and who is given up
// on.
#include "src/proxy/exchange.h"

#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::proxy::exchange_test {

using namespace limpet::test;

std::string request(std::string_view method, std::string_view body) {
  return std::string(method) + " /x HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

std::string body_of(const std::string& message) {
  const size_t end = message.find("\r\n\r\n");
  return end == std::string::npos ? "" : message.substr(end + 4);
}

// One backend with one idle connection, dialled as the first.
FakeStream& warm_up(Proxy& proxy, FakeStream& client) {
  client.sends(kGet);
  FakeStream& backend = proxy.backend(0);
  backend.sends(kOk);
  client.received.clear();
  backend.received.clear();
  return backend;
}

conf::Settings patient(net::Millis patience, size_t backends = 2) {
  conf::Settings settings = settings_of(backends, {Kind::ip});
  settings.pools[0].patience = conf::Duration(patience);
  return settings;
}

// ---- once more

TEST_CASE("a request that a used connection ends before answering goes out again on a new one") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  client.sends(kGet);
  CHECK(contains(stale.received, "GET /x "));
  stale.sends_end();
  FakeStream& fresh = proxy.backend(1);
  CHECK(contains(fresh.received, "GET /x "));
  fresh.sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("a request whose used connection takes no bytes goes out again on a new one, whatever its method") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  stale.abort();  // and the loop has not read it yet
  client.sends(request("POST", "hello"));
  FakeStream& fresh = proxy.backend(1);
  CHECK(body_of(fresh.received) == "hello");
  CHECK(stale.received == "");
  fresh.sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE(
    "a request that had not left yet when its used connection ended goes out on a new one, whatever its "
    "method") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  proxy.net.events_in_turn = 100;
  client.sends(request("POST", "hello"));
  CHECK(stale.received == "");
  SUBCASE("and ended in the same turn") {
    stale.sends_end();
    proxy.net.end_turn();
  }
  SUBCASE("and was reset when the turn ended") {
    stale.abort();
    proxy.net.end_turn();
    stale.read_all();
  }
  FakeStream& fresh = proxy.backend(1);
  proxy.net.end_turn();
  CHECK(body_of(fresh.received) == "hello");
  CHECK(stale.received == "");
}

TEST_CASE("a POST of which an earlier turn sent the head is not sent again") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  proxy.net.events_in_turn = 100;
  client.sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  proxy.net.end_turn();
  CHECK(contains(stale.received, "POST /x "));
  client.sends("hello");
  stale.sends_end();
  proxy.net.end_turn();
  CHECK(contains(client.received, " 502 "));
}

TEST_CASE("a request that went out on new connections is sent again once, not for ever") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  client.sends(kGet);
  stale.sends_end();
  proxy.backend(1).sends_end();
  proxy.backend(2).sends_end();
  CHECK(client.received.starts_with("HTTP/1.1 502 "));
  CHECK(proxy.net.dials() == 3);
}

TEST_CASE(
    "a GET under way at a backend that dies goes to another one, but from its home only once that is out") {
  Proxy proxy(2, {Kind::ip});
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.backend(0).sends_end();
  FakeStream& home = proxy.backend(1);
  home.sends(kOk);
  CHECK(client.received.ends_with("ok"));
  CHECK(*proxy.dialed(0).address() != *proxy.dialed(1).address());
  client.sends(kGet);
  home.sends_end();              // in use before
  proxy.backend(2).sends_end();  // on a new connection
  proxy.dialed(3).refuse();
  proxy.backend(4).sends(kOk);
  CHECK(count(client.received, "200 OK") == 2);
  for (const size_t at : {2, 3}) CHECK(*proxy.dialed(at).address() == *proxy.dialed(1).address());
  CHECK(*proxy.dialed(4).address() == *proxy.dialed(0).address());
}

TEST_CASE("a POST that went out is not sent again") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  client.sends(request("POST", "hello"));
  CHECK(body_of(stale.received) == "hello");
  stale.sends_end();
  CHECK(client.received.starts_with("HTTP/1.1 502 "));
  CHECK(proxy.net.dials() == 1);
}

TEST_CASE("a POST uses a used connection only if that was in use just now") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& used = warm_up(proxy, client);
  proxy.net.pass(900);
  client.sends(request("POST", "hello"));
  CHECK(contains(used.received, "POST /x "));
  used.sends(kOk);
  proxy.net.pass(1'100);
  client.sends(request("POST", "hello"));
  CHECK(contains(proxy.backend(1).received, "POST /x "));
  CHECK(count(used.received, "POST ") == 1);
}

TEST_CASE("a request is not sent again once the backend has said anything") {
  for (const std::string_view word : {"H", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nX: "}) {
    CAPTURE(word);
    Proxy proxy;
    FakeStream& client = proxy.client();
    FakeStream& stale = warm_up(proxy, client);
    client.sends(kGet);
    stale.sends(word);
    stale.sends_end();
    CHECK(contains(client.received, "HTTP/1.1 502 "));
    CHECK(proxy.net.dials() == 1);
  }
}

TEST_CASE("the body of a PUT that is sent again is sent again from its first byte") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  client.sends("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none");
  client.sends("two");
  CHECK(body_of(stale.received) == "onetwo");
  stale.sends_end();
  client.sends("end");
  CHECK(body_of(proxy.backend(1).received) == "onetwoend");
}

TEST_CASE("a chunked body that came in full is sent again with its end") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  client.sends("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
  client.sends("3\r\ntwo\r\n0\r\n\r\n");
  stale.sends_end();
  CHECK(body_of(proxy.backend(1).received) == "6\r\nonetwo\r\n0\r\n\r\n");
}

TEST_CASE("a body longer than what is kept is not sent again") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  client.sends(request("PUT", std::string(64 * 1024 + 1, 'b')));
  stale.sends_end();
  CHECK(client.received.starts_with("HTTP/1.1 502 "));
  CHECK(proxy.net.dials() == 1);
}

TEST_CASE("many bytes that wait behind those that are sent again follow them in order") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& stale = warm_up(proxy, client);
  const std::string body = std::string(20'000, '1') + std::string(20'000, '2') + std::string(20'000, '3');
  const std::string message = request("PUT", body);
  client.sends(std::string_view(message).substr(0, message.size() - 40'000));
  stale.sends_end();
  client.sends(std::string_view(message).substr(message.size() - 40'000));
  CHECK(body_of(proxy.backend(1).received) == body);
}

// ---- elsewhere

TEST_CASE("a backend that refuses is passed over, and the client sees nothing of it") {
  Proxy proxy(2, {Kind::ip});
  FakeStream& client = proxy.client();
  client.sends(request("POST", "hello"));
  proxy.dialed(0).refuse();
  FakeStream& other = proxy.backend(1);
  CHECK(*other.address() != *proxy.dialed(0).address());
  CHECK(body_of(other.received) == "hello");
  other.sends(kOk);
  CHECK(client.received.starts_with("HTTP/1.1 200 "));
}

TEST_CASE("a backend that does not answer a connect in time is passed over") {
  Proxy proxy(2, {Kind::ip});
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.net.pass(4'900);
  CHECK(proxy.net.dials() == 1);
  proxy.net.pass(200);
  CHECK_FALSE(proxy.dialed(0).open());
  proxy.backend(1).sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("a fresh connection that breaks before it has taken anything counts as none") {
  Proxy proxy(2, {Kind::ip});
  FakeStream& client = proxy.client();
  client.sends(request("POST", "hello"));
  proxy.dialed(0).abort();
  proxy.dialed(0).connect();
  CHECK(body_of(proxy.backend(1).received) == "hello");
}

TEST_CASE("when every backend refuses the client gets 503 and when to come back") {
  Proxy proxy(3, {Kind::cookie});
  FakeStream& client = proxy.client();
  client.sends(kGet);
  for (size_t i = 0; i < 3; ++i) proxy.dialed(i).refuse();
  CHECK(client.received.starts_with("HTTP/1.1 503 "));
  CHECK(contains(client.received, "\r\nRetry-After: "));
  CHECK_FALSE(client.finished());
}

TEST_CASE("a dial that cannot even begin counts as refused") {
  Proxy proxy(2, {Kind::ip});
  proxy.net.can_dial = false;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  CHECK(client.received.starts_with("HTTP/1.1 503 "));
}

TEST_CASE("a session is not moved for want of what the balancer itself lacks") {
  Proxy proxy(2, {Kind::ip});
  FakeStream& client = proxy.client();
  FakeStream& home = warm_up(proxy, client);
  home.sends_end();
  proxy.net.can_dial = false;
  for (const int lack : {EMFILE, EADDRNOTAVAIL}) {
    proxy.net.dial_error = -lack;
    client.received.clear();
    client.sends(kGet);
    CHECK(client.received.starts_with("HTTP/1.1 503 "));
    CHECK(proxy.failures.empty());
  }
  proxy.net.can_dial = true;
  client.sends(kGet);
  CHECK(*proxy.dialed(1).address() == *home.address());
}

TEST_CASE("where an address cannot even be tried the next one that the name has is") {
  Proxy proxy(1, {Kind::ip});
  proxy.net.addresses = 3;
  proxy.net.bad_addresses = 2;
  proxy.net.dial_error = -ENETUNREACH;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.backend().sends(kOk);
  CHECK(client.received.starts_with("HTTP/1.1 200 "));
}

TEST_CASE("a session that may not move is refused while its home is away, and still lives there afterwards") {
  conf::Settings settings = settings_of(2, {Kind::ip});
  settings.pools[0].failover = conf::Failover::refuse;
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  FakeStream& home = warm_up(proxy, client);
  home.sends_end();
  client.sends(kGet);
  CHECK(*proxy.dialed(1).address() == *home.address());
  proxy.dialed(1).refuse();
  CHECK(client.received.starts_with("HTTP/1.1 503 "));
  client.sends(kGet);
  CHECK(*proxy.dialed(2).address() == *home.address());
}

// ---- patience

TEST_CASE("within patience a request waits for its own home, and knocks until that is back") {
  Proxy proxy(patient(3'000));
  FakeStream& client = proxy.client();
  FakeStream& home = warm_up(proxy, client);
  home.sends_end();
  client.sends(kGet);
  size_t knocks = 1;
  for (; proxy.net.now() < 1'000'000 + 2'000; proxy.net.pass(100)) {
    if (proxy.net.dials() == knocks) continue;
    CHECK(*proxy.dialed(knocks).address() == *home.address());
    proxy.dialed(knocks++).refuse();
  }
  CHECK(knocks > 3);
  CHECK(client.received == "");
  proxy.net.pass(1'000);
  proxy.backend(knocks).sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("when patience is over the session goes elsewhere, and stays there") {
  Proxy proxy(patient(1'000));
  FakeStream& client = proxy.client();
  FakeStream& home = warm_up(proxy, client);
  home.sends_end();
  client.sends(kGet);
  size_t knocks = 1;
  while (*proxy.dialed(knocks).address() == *home.address()) {
    proxy.dialed(knocks++).refuse();
    while (proxy.net.dials() == knocks) proxy.net.pass(10);
  }
  CHECK(proxy.net.now() >= 1'000'000 + 1'000);
  FakeStream& other = proxy.backend(knocks);
  other.sends(kOk);
  CHECK(client.received.ends_with("ok"));
  client.sends(kGet);
  CHECK(count(other.received, "GET ") == 2);
}

TEST_CASE("a client that has no session yet waits for nobody") {
  Proxy proxy(patient(3'000));
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.dialed(0).refuse();
  CHECK(proxy.net.dials() == 2);
}

TEST_CASE("a client that goes while its request waits for its home leaves nothing behind") {
  Proxy proxy(patient(3'000));
  FakeStream& client = proxy.client();
  warm_up(proxy, client).sends_end();
  client.sends(kGet);
  proxy.dialed(1).refuse();
  client.sends_abort();
  CHECK_FALSE(client.open());
  proxy.net.pass(10'000);
  CHECK(proxy.net.dials() == 2);
}

// ---- when a loss is settled

// A session whose home is down, and whose request is on its way to the other backend.
struct Moving {
  explicit Moving(bool half_close = false) : proxy(settings(half_close)) {
    warm_up(proxy, client);
    home = proxy.dialed(0).address()->port == 9000 ? 0 : 1;
    proxy.put(home, routing::BackendState::down);
    client.sends(kGet);
    CHECK(*proxy.backend(1).address() != *proxy.dialed(0).address());
  }
  static conf::Settings settings(bool half_close) {
    conf::Settings made = settings_of(2, {Kind::ip});
    made.listeners[0].half_close = half_close;
    return made;
  }
  FakeStream& other() { return proxy.dialed(1); }
  routing::Census census() { return proxy.router().table().census(); }
  uint64_t lost() { return census().books.all[routing::Event::lost]; }

  Proxy proxy;
  FakeStream& client = proxy.client();
  routing::Slot home = 0;
};

TEST_CASE("a client that left before its answer has lost nothing: its home that is back has its session") {
  for (const bool by_reset : {false, true}) {
    for (const bool has_come : {false, true}) {  // the answer, unread, when the client's end is
      Moving moving;
      if (has_come) moving.other().say(kOk);
      by_reset ? moving.client.sends_abort() : moving.client.sends_end();
      CHECK_FALSE(moving.other().open());
      CHECK(moving.lost() == 0);
      CHECK(moving.census().at_risk == 1);
      moving.proxy.put(moving.home, routing::BackendState::up);
      FakeStream& again = moving.proxy.client();
      again.sends(kGet);
      FakeStream& back = moving.proxy.backend(2);
      CHECK(*back.address() == *moving.proxy.dialed(0).address());
      back.sends(kOk);
      CHECK(again.received.ends_with("ok"));
      CHECK(moving.lost() == 0);
      CHECK(moving.census().books.all[routing::Event::recovered] == 1);
      CHECK(moving.census().at_risk == 0);
    }
  }
}

TEST_CASE("a loss is settled with the first answer's head, for a client that is not known to have left") {
  SUBCASE("which stays") {
    Moving moving;
    moving.other().sends("HTTP/1.1 200 OK\r\n");
    CHECK(moving.lost() == 0);
    moving.other().sends("Content-Length: 2\r\n\r\n");
    CHECK(moving.lost() == 1);
  }
  SUBCASE("which leaves just behind it") {
    Moving moving;
    moving.other().sends(kOk);
    moving.client.sends_abort();
    CHECK(moving.lost() == 1);
  }
  SUBCASE("which has said all that it will, where its listener says that this is no leaving") {
    Moving moving(true);
    moving.client.sends_end();
    CHECK(moving.lost() == 0);
    moving.other().sends(kOk);
    CHECK(moving.lost() == 1);
  }
}

// ---- relay

TEST_CASE("a slow client stops the reading of its answer after one read, and taking it starts that again") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.room = 0;
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  constexpr size_t kSize = 1'000'000;
  backend.sends("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n" +
                std::string(kSize, 'b'));
  CHECK(backend.paused());
  CHECK(client.queued() <= net::Loop::kReadSize + 1024);
  for (int i = 0; i < 100 && client.queued() != 0; ++i) {
    client.drain();
    backend.read_all();
    REQUIRE(client.queued() <= net::Loop::kReadSize);
  }
  CHECK(body_of(client.received).size() == kSize);
  client.room = kAll;
  client.sends(kGet);
  CHECK(count(backend.received, "GET ") == 2);
}

TEST_CASE("a client that takes its answer slowly is waited for while it takes as much as one has to send") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.room = 0;
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  size_t size = 60'000;
  SUBCASE("of an answer that is all here") {}
  SUBCASE("of one that goes on") { size = 70'000; }
  backend.sends("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" +
                std::string(60'000, 'b'));
  size_t taken = 0;
  SUBCASE("100 bytes a second") { taken = 6'000; }
  SUBCASE("less") { taken = 5'900; }
  SUBCASE("nothing") { taken = 0; }
  proxy.net.pass(100);
  for (int minute = 0; minute < 9; ++minute) {
    client.drain(taken);
    proxy.net.pass(60'000);
  }
  CHECK(client.open() == (taken == 6'000));
  CHECK(proxy.failures.empty());
  if (taken != 6'000) return;
  client.drain();
  CHECK(body_of(client.received).size() == 60'000);
}

TEST_CASE("an answer that begins before the request's body has ended is passed on, and ends the connection") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nonly this");
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
  CHECK(client.received.starts_with("HTTP/1.1 413 "));
  CHECK(contains(client.received, "\r\nConnection: close\r\n"));
  CHECK(client.received.ends_with("no"));
  CHECK(client.finished());
  CHECK_FALSE(backend.open());
}

TEST_CASE("an answer that streams while its request streams does so to both ends") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nuno\r\n");
  CHECK(client.received.ends_with("3\r\nuno\r\n"));
  client.sends("3\r\ntwo\r\n");
  CHECK(backend.received.ends_with("3\r\ntwo\r\n"));
  client.sends("0\r\n\r\n");
  backend.sends("0\r\n\r\n");
  CHECK(backend.received.ends_with("0\r\n\r\n"));
  CHECK(client.received.ends_with("0\r\n\r\n"));
}

TEST_CASE("interim answers pass, in their place") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  FakeStream& backend = proxy.backend();
  CHECK(contains(backend.received, "\r\nExpect: 100-continue\r\n"));
  backend.sends("HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(client.received.starts_with("HTTP/1.1 100 "));
  client.sends("hi");
  CHECK(backend.received.ends_with("hi"));
  backend.sends(kOk);
  CHECK(contains(client.received, "\r\n\r\nHTTP/1.1 200 "));
}

TEST_CASE("interim answers without end are ended, by their bytes and by the time for an answer") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  const std::string hint = "HTTP/1.1 103 Early Hints\r\nLink: " + std::string(1000, 'x') + "\r\n\r\n";
  SUBCASE("in bytes") {
    for (int i = 0; i < 80 && backend.open(); ++i) backend.sends(hint);
    CHECK(contains(client.received, "HTTP/1.1 502 "));
  }
  SUBCASE("in time, whenever the client takes some") {
    for (int i = 0; i < 7; ++i) {
      client.room = 0;
      backend.sends(hint);
      proxy.net.pass(9'000);
      client.room = kAll;
      client.drain();
    }
    CHECK(contains(client.received, "HTTP/1.1 504 "));
  }
  CHECK_FALSE(backend.open());
}

TEST_CASE("interim answers are not for HTTP/1.0 clients") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("GET /x HTTP/1.0\r\n\r\n");
  proxy.backend().sends("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + std::string(kOk));
  CHECK(client.received.starts_with("HTTP/1.1 200 "));
}

TEST_CASE("trailers pass both ways") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(
      "POST /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: "
      "chunked\r\n\r\n0\r\nX-Up: 1\r\n\r\n");
  FakeStream& backend = proxy.backend();
  CHECK(backend.received.ends_with("0\r\nX-Up: 1\r\n\r\n"));
  backend.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Down: 2\r\n\r\n");
  CHECK(client.received.ends_with("0\r\nX-Down: 2\r\n\r\n"));
}

TEST_CASE("an answer of a length that comes too short is cut short for the client too") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
  backend.sends_end();
  CHECK(client.received.ends_with("short"));
  CHECK(client.finished());
}

TEST_CASE("a chunked answer that breaks off, or goes wrong, has no last chunk for the client either") {
  for (const std::string_view rest : {"", "zz\r\n"}) {
    CAPTURE(rest);
    Proxy proxy;
    FakeStream& client = proxy.client();
    client.sends(kGet);
    FakeStream& backend = proxy.backend();
    backend.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n");
    backend.sends(rest);
    backend.sends_end();
    CHECK(client.received.ends_with("short\r\n"));
    CHECK(client.finished());
  }
}

TEST_CASE("where only the connection's end tells the body's, a cut answer ends in a reset") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("GET / HTTP/1.0\r\n\r\n");
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n");
  backend.sends_end();
  CHECK(client.end_seen == FakeStream::End::reset);
}

TEST_CASE("a backend that talks nonsense is a 502, and is not asked again") {
  for (const std::string_view word :
       {"nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/2 200\r\n\r\n"}) {
    CAPTURE(word);
    Proxy proxy;
    FakeStream& client = proxy.client();
    client.sends(kGet);
    FakeStream& backend = proxy.backend();
    backend.sends(word);
    CHECK(client.received.starts_with("HTTP/1.1 502 "));
    CHECK_FALSE(client.finished());
    CHECK_FALSE(backend.open());
    CHECK(proxy.net.dials() == 1);
  }
}

TEST_CASE("a body beyond the limit is a 413, whether its length is said or shows") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.limits.body = 10;
  {
    Proxy proxy(settings);
    FakeStream& client = proxy.client();
    client.sends(request("PUT", "hello, world"));
    CHECK(client.received.starts_with("HTTP/1.1 413 "));
    CHECK(proxy.net.dials() == 0);
  }
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  client.sends("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello,\r\n");
  FakeStream& backend = proxy.backend();
  client.sends("6\r\n world\r\n");
  CHECK(client.received.starts_with("HTTP/1.1 413 "));
  CHECK(client.finished());
  CHECK_FALSE(backend.open());
}

// ---- loops

// The value of the Via that the proxy added.
std::string via_of(const std::string& head) {
  const size_t begin = head.rfind("Via: ") + 5;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

std::string via(const std::string& hops) { return "GET /x HTTP/1.1\r\nHost: a\r\nVia: " + hops + "\r\n\r\n"; }

TEST_CASE("a request that comes to its pool once more is a 508, of which no backend hears") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  const std::string own = via_of(proxy.backend().received);
  FakeStream& again = proxy.client("192.0.2.2");
  SUBCASE("directly") { again.sends(via(own)); }
  SUBCASE("through others") { again.sends(via("1.0 first, " + own + ", 1.1 last")); }
  SUBCASE("with a body") {
    again.sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nVia: " + own + "\r\n\r\nhello");
  }
  CHECK(again.received.starts_with("HTTP/1.1 508 Loop Detected\r\n"));
  CHECK(proxy.net.dials() == 1);
  CHECK(proxy.failures.empty());
  const PoolMeter& meter = proxy.context().pool(0).meter();
  CHECK(meter.unserved.value() == 1);
  CHECK(meter.backends[0].begun.value() == 1);
  CHECK(meter.backends[0].failed.value() == 0);
}

TEST_CASE("a 508 that comes back through a backend counts against it only where the file says so") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  bool counts = false;
  SUBCASE("it does not") { settings.pools[0].passive.status = {{500, 504}}; }
  SUBCASE("it does") {
    settings.pools[0].passive.status = {{500, 599}};
    counts = true;
  }
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.backend().sends("HTTP/1.1 508 Loop Detected\r\nContent-Length: 0\r\n\r\n");
  CHECK(client.received.starts_with("HTTP/1.1 508 "));
  CHECK(proxy.failures.empty() == !counts);
}

TEST_CASE("a request that has been in another pool, or in another process, does not come once more") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.pools.push_back(settings.pools[0]);
  settings.pools[1].name = "caches";
  settings.listeners.push_back(settings.listeners[0]);
  settings.listeners[1].name = "outer";
  settings.routes = {{.listener = "front", .host = "", .pool = "shop"},
                     {.listener = "outer", .host = "", .pool = "caches"}};
  Proxy proxy(settings);
  proxy.client("192.0.2.1", 1).sends(kGet);
  const std::string through_cache = via_of(proxy.backend(0).received);
  FakeStream& cache = proxy.client("192.0.2.2", 0);
  cache.sends(via(through_cache));
  const std::string through_both = via_of(proxy.backend(1).received);
  CHECK(through_both != through_cache);
  proxy.dialed(1).sends(kOk);
  CHECK(cache.received.ends_with("ok"));
  proxy.dialed(1).received.clear();
  proxy.context().process_number = 1'000'000;  // as in another process
  cache.sends(via(through_cache + ", " + through_both));
  CHECK(contains(proxy.dialed(1).received, through_both + "\r\n"));
}

// ---- tunnels

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

TEST_CASE("after an upgrade both ends talk to each other in whatever they like") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  backend.sends(std::string(kSwitch) + "first words");
  CHECK(contains(client.received, "\r\nUpgrade: websocket\r\n"));
  CHECK(client.received.ends_with("\r\n\r\nfirst words"));
  client.sends("\x81 no HTTP at all");
  CHECK(backend.received.ends_with("\x81 no HTTP at all"));
  backend.sends("\x82 nor here");
  CHECK(client.received.ends_with("\x82 nor here"));
}

TEST_CASE("each end of a tunnel may end before the other") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  backend.sends(kSwitch);
  client.sends_end();
  CHECK(backend.finished());
  CHECK(backend.open());
  backend.sends("last words");
  CHECK(client.received.ends_with("last words"));
  backend.sends_end();
  CHECK(client.end_seen == FakeStream::End::orderly);
  CHECK_FALSE(client.open());
  CHECK_FALSE(backend.open());
}

// A WebSocket at which these were said, in frames, before its backend's connection ended, and then its
// client's: whether that was a failed request.
bool is_cut(std::string_view upgrade, std::string_view by_client, std::string_view by_backend) {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " +
                std::string(upgrade) + "\r\n\r\n");
  if (!by_client.empty()) client.sends(by_client);
  if (!by_backend.empty()) backend.sends(by_backend);
  backend.sends_end();
  CHECK(client.finished());
  CHECK(client.received.ends_with(by_backend));
  client.sends("still here");
  CHECK(backend.received.ends_with("still here"));
  client.sends_end();
  CHECK_FALSE(backend.open());
  const uint64_t failed = proxy.context().pool(0).meter().backends[0].failed.value();
  CHECK(proxy.context().pool(0).meter().backends[0].ended.value() == 1);
  return failed == 1;
}

TEST_CASE("a WebSocket that its backend ends without a word of closing is a failed request") {
  using namespace std::string_view_literals;
  constexpr std::string_view kText = "\x81\x02hi", kClose = "\x88\x02\x03\xe8"sv;
  constexpr std::string_view kMaskedText = "\x81\x82\x01\x02\x03\x04hi",
                             kMaskedClose = "\x88\x80\x01\x02\x03\x04";
  CHECK(is_cut("websocket", "", ""));
  CHECK(is_cut("WebSocket", kMaskedText, kText));
  CHECK(is_cut("websocket", kMaskedText, kText.substr(0, 3)));
  CHECK_FALSE(is_cut("websocket", kMaskedText, kClose));
  CHECK_FALSE(is_cut("websocket", kMaskedText, std::string(kText) + std::string(kClose)));
  CHECK_FALSE(is_cut("websocket", kMaskedClose, kText));  // the backend answers it by ending the connection
  CHECK_FALSE(is_cut("websocket", "no frames", "nor here"));
  CHECK_FALSE(is_cut("other", kMaskedText, kText));
}

TEST_CASE("a WebSocket that its backend cut is so too where its client then breaks off") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  backend.sends(kSwitch);
  backend.sends_end();
  client.sends_abort();
  CHECK(proxy.context().pool(0).meter().backends[0].failed.value() == 1);
}

TEST_CASE("a slow end of a tunnel stops the other") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  backend.sends(kSwitch);
  client.room = backend.room = 0;
  const std::string flood(500'000, 'f');
  client.sends(flood);
  backend.sends(flood);
  CHECK(client.paused());
  CHECK(backend.paused());
  CHECK(client.queued() <= net::Loop::kReadSize);
  CHECK(backend.queued() <= net::Loop::kReadSize);
  const size_t to_client = client.received.size();
  const size_t to_backend = backend.received.size();
  for (int i = 0; i < 100 && client.queued() + backend.queued() != 0; ++i) {
    client.drain();
    backend.drain();
    client.read_all();
    backend.read_all();
  }
  CHECK(client.received.size() == to_client + flood.size());
  CHECK(backend.received.size() == to_backend + flood.size());
}

TEST_CASE("a switch of protocols that nobody asked for is a 502, and the client goes on") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(std::string(kGet) + std::string(kGet));
  proxy.backend(0).sends(kSwitch);
  CHECK(client.received.starts_with("HTTP/1.1 502 "));
  proxy.backend(1).sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("a backend that declines an upgrade is answered like any other") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  proxy.backend().sends(kOk);
  client.sends(kGet);
  CHECK(contains(proxy.dialed(0).received, "GET /x "));
}

// ---- what is measured

uint64_t measured(Proxy& proxy) {
  const Histogram& latency = proxy.context().pool(0).meter().backends[0].latency;
  uint64_t all = 0;
  for (const Counter& count : latency.counts) all += count.value();
  return all;
}

TEST_CASE("how long a tunnel lasts is no latency of its backend") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  backend.sends(kSwitch);
  proxy.net.pass(600'000);
  client.sends_end();
  backend.sends_end();
  CHECK(measured(proxy) == 0);
  CHECK(proxy.context().pool(0).meter().backends[0].answers[1].value() == 1);
  FakeStream& other = proxy.client();
  other.sends(kUpgrade);
  proxy.backend(1).sends(kOk);
  CHECK(measured(proxy) == 1);
}

TEST_CASE("how long a client listens to a stream of events is no latency of its backend") {
  struct Answered {
    const char* head;
    const char* request;
    uint64_t counts;
  };
  const char* const get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
  const char* const post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
  for (const auto& [head, asked, counts] :
       {Answered{"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n", get, 0},
        Answered{"content-type: Text/Event-Stream ; charset=utf-8\r\nTransfer-Encoding: chunked\r\n", get, 0},
        Answered{"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n", post, 1},
        Answered{"Content-Type: text/event-streams\r\nTransfer-Encoding: chunked\r\n", get, 1},
        Answered{"Transfer-Encoding: chunked\r\n", get, 1}}) {
    CAPTURE(head);
    CAPTURE(asked);
    Proxy proxy;
    FakeStream& client = proxy.client();
    client.sends(asked);
    FakeStream& backend = proxy.backend();
    backend.sends("HTTP/1.1 200 OK\r\n" + std::string(head) + "\r\n5\r\nhello\r\n");
    proxy.net.pass(50'000);
    backend.sends("0\r\n\r\n");
    CHECK(client.received.ends_with("\r\n0\r\n\r\n"));
    CHECK(measured(proxy) == counts);
  }
}

// ---- time

TEST_CASE("a backend that does not answer in time is a 504") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  proxy.net.pass(59'900);
  CHECK(client.received == "");
  proxy.net.pass(200);
  CHECK(client.received.starts_with("HTTP/1.1 504 "));
  CHECK_FALSE(client.finished());
  CHECK_FALSE(backend.open());
}

TEST_CASE("an answer that tells of things as they happen may be silent, and its silence is no failure") {
  struct Answered {
    const char* type;
    const char* method;
    bool may_be_silent;
  };
  for (const auto& [type, method, may_be_silent] :
       {Answered{"text/event-stream", "GET", true}, Answered{"text/event-stream;charset=utf-8", "POST", true},
        Answered{"application/x-ndjson", "GET", true}, Answered{"application/json-seq", "GET", true},
        Answered{"multipart/x-mixed-replace; boundary=x", "GET", true},
        Answered{"application/grpc+proto", "POST", true}, Answered{"text/html", "GET", false}}) {
    CAPTURE(type);
    conf::Settings settings = settings_of(1, {Kind::ip});
    settings.pools[0].timeouts.body = conf::Duration(10'000);
    settings.pools[0].timeouts.stream = conf::Duration(100'000);
    Proxy proxy(settings);
    FakeStream& client = proxy.client();
    client.sends(std::string(method) + " /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    FakeStream& backend = proxy.backend();
    backend.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: " + std::string(type) +
                  "\r\n\r\n1\r\n.\r\n");
    proxy.net.pass(90'000);
    CHECK(backend.open() == may_be_silent);
    if (!may_be_silent) continue;
    backend.sends("1\r\n.\r\n");
    proxy.net.pass(90'000);
    CHECK(client.received.ends_with("1\r\n.\r\n1\r\n.\r\n"));
    proxy.net.pass(20'000);
    CHECK_FALSE(backend.open());
    CHECK(proxy.failures.empty());
    CHECK(proxy.context().pool(0).meter().backends[0].failed.value() == 0);
  }
}

TEST_CASE("a client that pipelines gives its backend no longer for that") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.backend();
  for (int i = 0; i < 5; ++i) {
    proxy.net.pass(11'000);
    client.sends(kGet);
  }
  proxy.net.pass(5'100);
  CHECK(client.received.starts_with("HTTP/1.1 504 "));
}

TEST_CASE("a backend whose answer trickles in, or that asks for patience, gets no longer for that") {
  for (const std::string_view word : {"HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 200 OK\r\n"}) {
    CAPTURE(word);
    Proxy proxy;
    FakeStream& client = proxy.client();
    client.sends(kGet);
    FakeStream& backend = proxy.backend();
    proxy.net.pass(55'000);
    backend.sends(word);
    proxy.net.pass(5'100);
    CHECK(contains(client.received, "HTTP/1.1 504 "));
  }
}

TEST_CASE("a body that does not come in time is a 408; one that trickles is waited for") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  proxy.backend();
  for (int i = 0; i < 4; ++i) {
    proxy.net.pass(50'000);
    client.sends(std::string(5000, 'b'));
  }
  CHECK(client.received == "");
  proxy.net.pass(60'100);
  CHECK(client.received.starts_with("HTTP/1.1 408 "));
}

constexpr std::string_view kUpload = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
constexpr std::string_view kStream = "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

// The client sends this piece every half second, for so long; false as soon as the proxy has answered.
bool trickles(Proxy& proxy, FakeStream& client, std::string_view piece, net::Millis duration) {
  const size_t before = client.received.size();
  for (net::Millis passed = 0; passed < duration && client.received.size() == before; passed += 500) {
    proxy.net.pass(500);
    client.sends(piece);
  }
  return client.received.size() == before;
}

TEST_CASE("a body with a length that comes at less than the least rate is a 408, once it had its time") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpload);
  FakeStream& backend = proxy.backend();
  CHECK(trickles(proxy, client, "b", 59'000));
  CHECK_FALSE(trickles(proxy, client, "b", 5'000));
  CHECK(client.received.starts_with("HTTP/1.1 408 "));
  CHECK_FALSE(backend.open());
  CHECK(proxy.failures.empty());
}

TEST_CASE("a body that comes at the least rate is waited for") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpload);
  proxy.backend();
  SUBCASE("steadily") { CHECK(trickles(proxy, client, std::string(50, 'b'), 600'000)); }
  SUBCASE("on average: what came fast earns time") {
    client.sends(std::string(50'000, 'b'));
    CHECK(trickles(proxy, client, "b", 500'000));
    CHECK_FALSE(trickles(proxy, client, "b", 100'000));
  }
}

TEST_CASE("a body without a length, and where no least rate is configured, comes as slowly as it likes") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  std::string_view head = kStream, piece = "1\r\nb\r\n";
  SUBCASE("chunked") {}
  SUBCASE("no rate") {
    settings.timeouts.body_rate = 0;
    head = kUpload;
    piece = "b";
  }
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  client.sends(head);
  proxy.backend();
  CHECK(trickles(proxy, client, piece, 600'000));
}

TEST_CASE("while the backend takes no more of a body its client's time stands still") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpload);
  FakeStream& backend = proxy.backend();
  SUBCASE("and that shows at once") {}
  SUBCASE("and that shows at the turn's end") { proxy.net.events_in_turn = 2; }
  const auto lag = [&] {
    backend.room = 0;
    for (int i = 0; i < 10; ++i) {
      client.sends("b");
      proxy.net.end_turn();
      proxy.net.pass(50'000);
      REQUIRE(client.received == "");
      backend.drain();
    }
    backend.room = kAll;
  };
  lag();
  CHECK(trickles(proxy, client, "b", 58'000));
  lag();
  proxy.net.events_in_turn = 1;
  CHECK_FALSE(trickles(proxy, client, "b", 5'000));
  CHECK(client.received.starts_with("HTTP/1.1 408 "));
  CHECK(proxy.failures.empty());
}

TEST_CASE("a body that is too slow cuts its answer, and its backend is not to blame") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kUpload);
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.received.clear();
  for (int i = 0; i < 150 && backend.open(); ++i) {
    proxy.net.pass(500);
    backend.sends("1\r\na\r\n");
    client.sends("b");
  }
  CHECK_FALSE(backend.open());
  CHECK(client.finished());
  CHECK(count(client.received, "\r\na\r\n") > 110);
  CHECK_FALSE(contains(client.received, "\r\n0\r\n"));
  CHECK(proxy.failures.empty());
}

TEST_CASE("an answer that stops is cut; one that trickles is waited for") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  for (int i = 0; i < 4; ++i) {
    proxy.net.pass(50'000);
    backend.sends("b");
  }
  CHECK(client.received.ends_with("bbbb"));
  CHECK_FALSE(client.finished());
  proxy.net.pass(60'100);
  CHECK(client.finished());
  CHECK_FALSE(backend.open());
}

TEST_CASE("a tunnel is cut only when neither end says anything") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.pools[0].timeouts.tunnel = conf::Duration(10'000);
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  backend.sends(kSwitch);
  for (int i = 0; i < 4; ++i) {
    proxy.net.pass(9'000);
    if (i % 2 == 0) client.sends("c");
    if (i % 2 == 1) backend.sends("b");
  }
  CHECK(backend.open());
  proxy.net.pass(10'100);
  CHECK_FALSE(backend.open());
  CHECK(client.finished());
}

TEST_CASE("an open stream or tunnel keeps its session alive, however silent both its ends are") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  conf::Pool& pool = settings.pools[0];
  pool.idle_timeout = pool.unreturned_timeout = conf::Duration(30'000);
  pool.timeouts.tunnel = pool.timeouts.body = conf::Duration(600'000);
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  SUBCASE("a stream") {
    client.sends(kGet);
    proxy.backend().sends("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n");
  }
  SUBCASE("a tunnel") {
    client.sends(kUpgrade);
    proxy.backend().sends(kSwitch);
  }
  routing::Router& router = proxy.context().pool(0).router();
  const auto live = [&] {
    for (size_t i = 0; i < routing::SessionTable::kSweeps; ++i)
      router.sweep(static_cast<uint32_t>(proxy.net.monotonic_us() / 1'000'000));
    return router.table().homes().live(0);
  };
  for (int i = 0; i < 20; ++i) {
    proxy.net.pass(9'900);
    CHECK(live() == 1);
  }
  CHECK(client.open());
  client.sends_abort();
  proxy.net.pass(32'000);
  CHECK(live() == 0);
}

// A tunnel, by now, with nothing under way.
FakeStream& switched(Proxy& proxy, FakeStream& client) {
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  backend.sends(kSwitch);
  return backend;
}

TEST_CASE("a tunnel whose backend has ended waits for its client no longer than for a request's body") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& backend = switched(proxy, client);
  proxy.net.pass(1'000'000);
  backend.sends_end();
  for (int i = 0; i < 4; ++i) {
    proxy.net.pass(50'000);
    client.sends("c");
  }
  CHECK(backend.received.ends_with("cccc"));
  CHECK(backend.open());
  proxy.net.pass(60'100);
  CHECK_FALSE(backend.open());
  CHECK(client.finished());
  proxy.net.pass(2'100);
  CHECK_FALSE(client.open());
  CHECK(proxy.failures.empty());
}

TEST_CASE("a tunnel whose client has ended waits for its backend no longer than for an answer's body") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& backend = switched(proxy, client);
  proxy.net.pass(1'000'000);
  client.sends_end();
  for (int i = 0; i < 4; ++i) {
    proxy.net.pass(50'000);
    backend.sends("b");
  }
  CHECK(client.received.ends_with("bbbb"));
  proxy.net.pass(60'100);
  CHECK_FALSE(backend.open());
  CHECK_FALSE(client.open());
  CHECK(proxy.failures.empty());
}

TEST_CASE("a tunnel whose client ended before the switch is one whose client has ended, where it may") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.listeners[0].half_close = true;
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  client.sends(kUpgrade);
  FakeStream& backend = proxy.backend();
  client.sends_end();
  backend.sends(kSwitch);
  CHECK(backend.finished());
  proxy.net.pass(60'100);
  CHECK_FALSE(backend.open());
}

TEST_CASE("a tunnel waits for an end that takes nothing no longer than a body does") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  FakeStream& backend = switched(proxy, client);
  FakeStream* slow = &client;
  FakeStream* other = &backend;
  SUBCASE("the client") {}
  SUBCASE("the backend") { std::swap(slow, other); }
  slow->room = 0;
  SUBCASE("that may still speak") {}
  SUBCASE("while the other has ended, which nobody has read yet") { other->end(); }
  other->sends("last words");
  SUBCASE("when it has ended itself") { slow->sends_end(); }
  proxy.net.pass(59'900);
  CHECK(backend.open());
  proxy.net.pass(200);
  CHECK_FALSE(backend.open());
  proxy.net.pass(62'200);
  CHECK_FALSE(client.open());
  CHECK(proxy.failures.empty());
}

TEST_CASE("a tunnel of which one end has ended lasts no longer in silence than a whole one") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.pools[0].timeouts.tunnel = conf::Duration(10'000);
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  FakeStream& backend = switched(proxy, client);
  SUBCASE("the client") { client.sends_end(); }
  SUBCASE("the backend") { backend.sends_end(); }
  proxy.net.pass(10'100);
  CHECK_FALSE(backend.open());
}

}  // namespace limpet::proxy::exchange_test
