// What requests tell of their backends, and what they do not.
#include "src/proxy/retry_budget.h"
#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::evidence_test {

using conf::Duration;
using health::Evidence;
using namespace limpet::test;
using namespace std::chrono_literals;

conf::Settings with_failures_at(std::vector<conf::StatusRange> status) {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.pools[0].passive.status = std::move(status);
  return settings;
}

std::string told(const Proxy& proxy) {
  std::string all;
  for (const auto& [slot, evidence] : proxy.evidence) {
    constexpr const char* kKinds[] = {"failed", "doubtful", "waits"};
    all += (all.empty() ? "" : ", ") + std::string(kKinds[static_cast<size_t>(evidence.kind)]);
  }
  return all;
}

uint64_t answered_at(const Proxy& proxy) {
  return const_cast<Proxy&>(proxy).context().pool(0).meter().backends[0].answered_at.us();
}

TEST_CASE("a request tells of its backend once, however often it was tried there") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.backend().sends(kOk);
  client.sends(kGet);
  proxy.backend().sends_end();  // a used connection: it may have been closed without knowing
  CHECK(told(proxy) == "");
  proxy.backend(1).sends_end();
  proxy.backend(2).sends_end();
  CHECK(client.received.find("502 ") != std::string::npos);
  CHECK(told(proxy) == "failed");
  CHECK(proxy.context().pool(0).meter().backends[0].failures[1].value() == 2);  // attempts
}

TEST_CASE("answers that are cut, or are no HTTP, tell that they failed") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  SUBCASE("after their head") {
    proxy.backend().sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel");
    proxy.backend().sends_end();
  }
  SUBCASE("by a reset") {
    proxy.backend().sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel");
    proxy.backend().sends_abort();
  }
  SUBCASE("within a chunk") {
    proxy.backend().sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n");
  }
  SUBCASE("from the start") { proxy.backend().sends("SSH-2.0-OpenSSH_9.2\r\n\r\n"); }
  CHECK(told(proxy) == "failed");
  CHECK(answered_at(proxy) == 0);
}

TEST_CASE("silence within an answer that has begun tells nothing") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  SUBCASE("of events") {
    proxy.backend().sends("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n");
    CHECK(answered_at(proxy) != 0);
  }
  SUBCASE("of a length") { proxy.backend().sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"); }
  proxy.net.pass(3'601'000);
  CHECK_FALSE(proxy.backend().open());
  CHECK(told(proxy) == "");
}

TEST_CASE("a client that owes part of its body, or leaves, tells nothing") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhel");
  FakeStream& backend = proxy.backend();
  SUBCASE("and the backend takes it") {
    proxy.net.pass(61'000);
    CHECK(client.received.starts_with("HTTP/1.1 408 "));
  }
  SUBCASE("and the backend takes nothing") {
    backend.room = 0;
    client.sends("lo");
    proxy.net.pass(61'000);
    CHECK_FALSE(backend.open());
  }
  SUBCASE("and is gone") { client.sends_abort(); }
  CHECK(told(proxy) == "");
}

TEST_CASE("a backend that closes before it has the whole request has failed") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhel");
  proxy.backend().sends_end();
  CHECK(told(proxy) == "failed");
}

TEST_CASE("a request that waits tells so every ten seconds, and once that its time is over") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  FakeStream& backend = proxy.backend();
  const uint64_t sent = proxy.net.now();
  proxy.net.pass(9'900);
  CHECK(told(proxy) == "");
  proxy.net.pass(200);
  CHECK(told(proxy) == "waits");
  CHECK(proxy.evidence.back().second.at == sent);
  proxy.net.pass(10'000);
  CHECK(told(proxy) == "waits, waits");
  SUBCASE("and is answered") {
    backend.sends(kOk);
    CHECK(client.received.ends_with("ok"));
    CHECK(answered_at(proxy) != 0);
  }
  SUBCASE("in vain") {
    proxy.net.pass(39'800);
    CHECK(client.received == "");
    proxy.net.pass(400);
    CHECK(client.received.starts_with("HTTP/1.1 504 "));
    CHECK(told(proxy) == "waits, waits, waits, waits, waits, failed");
  }
}

TEST_CASE("of answered requests the one that was sent last counts, whichever was answered last") {
  Proxy proxy(1);
  const auto begun = [&] { return proxy.context().pool(0).meter().backends[0].answered_begun.us() / 1000; };
  proxy.client("192.0.2.1").sends(kGet);
  FakeStream& first = proxy.backend(0);
  proxy.net.pass(100);
  proxy.client("192.0.2.2").sends(kGet);
  FakeStream& second = proxy.backend(1);
  const uint64_t later = proxy.net.now();
  proxy.net.pass(100);
  second.sends(kOk);
  CHECK(begun() == later);
  first.sends(kOk);
  CHECK(begun() == later);
}

TEST_CASE("a request waits from its end on, as its backend does") {
  Proxy proxy;
  FakeStream& client = proxy.client();
  client.sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  proxy.backend();
  for (const char* byte : {"h", "e", "l", "l"}) {
    proxy.net.pass(12'000);
    client.sends(byte);
  }
  CHECK(told(proxy) == "");
  client.sends("o");
  proxy.net.pass(10'100);
  CHECK(told(proxy) == "waits");
}

TEST_CASE("502, 503 and 504 make Limpet ask, now and then; what the file calls a failure counts as one") {
  for (const int status : {502, 503, 504}) {
    Proxy proxy;
    FakeStream& client = proxy.client();
    for (int i = 0; i < 3; ++i) {
      client.sends(kGet);
      proxy.backend().sends("HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: 0\r\n\r\n");
    }
    CHECK(told(proxy) == "doubtful");
    CHECK(answered_at(proxy) == 0);
  }
  for (const int status : {404, 500, 501, 505}) {
    Proxy proxy;
    FakeStream& client = proxy.client();
    client.sends(kGet);
    proxy.backend().sends("HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: 0\r\n\r\n");
    CHECK(told(proxy) == "");
    CHECK(answered_at(proxy) != 0);
  }
  Proxy strict(with_failures_at({{500, 504}}));
  FakeStream& client = strict.client();
  client.sends(kGet);
  strict.backend().sends("HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n");
  CHECK(told(strict) == "failed");
  CHECK(answered_at(strict) == 0);
}

TEST_CASE("clients are told apart by their address, and by their network of IPv6") {
  Proxy proxy;
  const auto fails = [&](std::string_view address) {
    const size_t at = proxy.net.dials();
    proxy.client(address).sends(kGet);
    proxy.backend(at).sends("nonsense\r\n\r\n");
    return proxy.evidence.back().second.client;
  };
  CHECK(fails("192.0.2.1") == fails("192.0.2.1"));
  CHECK(fails("192.0.2.1") != fails("192.0.2.2"));
  CHECK(fails("2001:db8::1") == fails("2001:db8:0:1::2:3"));
  CHECK(fails("2001:db8::1") != fails("2001:db8:1::1"));
}

TEST_CASE("what this machine lacks or forbids tells nothing, and moves no session") {
  for (const int error :
       {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EADDRNOTAVAIL, -EACCES, -EPERM, -EAFNOSUPPORT, 0}) {
    CAPTURE(error);
    Proxy proxy(2);
    FakeStream& client = proxy.client();
    client.sends(kGet);
    proxy.backend().sends(kOk);
    proxy.backend().sends_end();
    proxy.net.can_dial = false;
    proxy.net.dial_error = error;
    client.sends(kGet);
    CHECK(client.received.find("HTTP/1.1 503 ") != std::string::npos);
    CHECK(told(proxy) == "");
    proxy.net.can_dial = true;
    client.sends(kGet);
    CHECK(*proxy.dialed(1).address() == *proxy.dialed(0).address());
    proxy.backend(1).sends(kOk);
  }
}

TEST_CASE(
    "an address that does not answer costs a part of the time to connect, and is not tried first again") {
  Proxy proxy;
  proxy.net.addresses = 2;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.net.pass(1'200);
  CHECK(proxy.net.dials() == 1);
  proxy.net.pass(100);
  REQUIRE(proxy.net.dials() == 2);
  CHECK_FALSE(proxy.dialed(0).open());
  proxy.backend(1).sends(kOk);
  CHECK(client.received.ends_with("ok"));
  proxy.backend(1).sends_end();
  client.sends(kGet);
  CHECK(proxy.dialed(2).index() == 1);
  proxy.backend(2).sends(kOk);
  CHECK(told(proxy) == "");
}

TEST_CASE("when no address answers in time the connection has failed once") {
  Proxy proxy;
  proxy.net.addresses = 2;
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.net.pass(5'100);
  CHECK(client.received.starts_with("HTTP/1.1 503 "));
  CHECK(proxy.net.dials() == 2);
  CHECK(told(proxy) == "failed");
}

TEST_CASE("a request is tried again while the pool's retries last") {
  conf::Settings settings = settings_of(12, {Kind::ip});
  settings.pools[0].retries = {.percent = 0, .floor = 0};
  SUBCASE("of none") {
    Proxy proxy(settings);
    proxy.client().sends(kGet);
    proxy.dialed(0).refuse();
    CHECK(proxy.net.dials() == 1);
  }
  SUBCASE("of a floor") {
    settings.pools[0].retries.floor = 1;
    Proxy proxy(settings);
    for (int i = 0; i < 4; ++i) {
      FakeStream& client = proxy.client();
      const size_t first = proxy.net.dials();
      client.sends(kGet);
      for (size_t at = first; at < proxy.net.dials(); ++at) proxy.dialed(at).refuse();
      CHECK(client.received.starts_with("HTTP/1.1 503 "));
    }
    CHECK(proxy.net.dials() == 4 + 10);
  }
}

TEST_CASE("requests that no backend has seen are tried again though others have used up the retries") {
  conf::Settings settings = settings_of(12, {Kind::ip});
  settings.pools[0].retries = {.percent = 0, .floor = 1};
  Proxy proxy(settings);
  for (int i = 0; i < 20; ++i) {
    const size_t first = proxy.net.dials();
    proxy.client().sends(kGet);
    for (size_t at = first; at < proxy.net.dials(); ++at) proxy.backend(at).sends_end();
  }
  const size_t before = proxy.net.dials();
  CHECK(before < 40);
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.dialed(before).refuse();
  CHECK(proxy.net.dials() == before + 2);
  proxy.backend(before + 1).sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("what cannot be tried again takes nothing from the pool's retries") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.pools[0].retries = {.percent = 0, .floor = 1};
  SUBCASE("for want of another backend") {}
  SUBCASE("since sessions must not move") { settings.pools[0].failover = conf::Failover::refuse; }
  Proxy proxy(settings);
  FakeStream& client = proxy.client();
  client.sends(kGet);
  proxy.backend().sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  for (size_t i = 1; i <= 20; ++i) {
    client.sends(kGet);
    proxy.dialed(i).refuse();
  }
  client.sends(kGet);
  proxy.backend(21).sends_end();
  REQUIRE(proxy.net.dials() == 23);
  proxy.backend(22).sends(kOk);
  CHECK(client.received.ends_with("ok"));
}

TEST_CASE("retries are a share of the last ten seconds' requests, and a floor") {
  using Of = proxy::RetryBudget::Of;
  proxy::RetryBudget budget;
  budget.allow(20, 1);
  const auto takes = [&](net::Millis now) {
    size_t taken = 0;
    for (; taken < 1000 && budget.has_left(now, Of::seen); ++taken) budget.spend(now, Of::seen);
    return taken;
  };
  net::Millis now = 5'000'000;
  CHECK(takes(now) == 10);
  for (int i = 0; i < 100; ++i) budget.began(now + 1'000);
  CHECK(takes(now + 1'000) == 20);
  CHECK(takes(now + 9'900) == 0);
  CHECK(takes(now + 10'000) == 10);  // the first are forgotten
  CHECK(takes(now + 11'000) == 0);   // the share's requests with its retries
  CHECK(takes(now + 20'000) == 10);
  CHECK(takes(now + 1'000'000) == 10);
}

}  // namespace limpet::evidence_test
