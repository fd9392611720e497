// What is answered by ourselves: redirections to https, the challenges of a certificate's authority, and
// whoever asks too often.
#include "tests/src/proxy/proxy_fixture.h"

namespace limpet::proxy::own_answers_test {

using namespace limpet::test;

conf::Settings redirecting() {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.listeners[0].redirect_to_https = true;
  return settings;
}
conf::Settings with_challenges() {
  conf::Settings settings = redirecting();
  settings.listeners[0].acme_challenges = "/srv/acme";
  return settings;
}

std::string ask(std::string_view target, std::string_view more = "", std::string_view method = "GET") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: shop.test:8080\r\n" +
         std::string(more) + "\r\n";
}

TEST_CASE("whoever comes without TLS is sent to the same place with it") {
  for (const auto& [target, location] : {std::pair{"/x?y=1", "https://shop.test/x?y=1"},
                                         std::pair{"http://shop.test:8080?y", "https://shop.test/?y"},
                                         std::pair{"/%7e/", "https://shop.test/%7e/"}}) {
    Proxy proxy(redirecting());
    FakeStream& client = proxy.client();
    client.sends(ask(target));
    CHECK(client.received.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"));
    CHECK(contains(client.received, "\r\nLocation: " + std::string(location) + "\r\n"));
    CHECK(proxy.net.dials() == 0);
    CHECK(client.open());
  }
}

TEST_CASE("a host that is an address keeps its brackets, and loses its port") {
  Proxy proxy(redirecting());
  FakeStream& client = proxy.client();
  client.sends("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n");
  CHECK(contains(client.received, "\r\nLocation: https://[2001:db8::1]/\r\n"));
}

TEST_CASE("what a trusted proxy calls https is served, and what anybody else calls so is not") {
  conf::Settings settings = redirecting();
  settings.listeners[0].trusted_proxies = {conf::Cidr::parse("192.0.2.1").value()};
  Proxy proxy(settings);
  proxy.client("192.0.2.1").sends(ask("/", "X-Forwarded-Proto: https\r\n"));
  CHECK(proxy.net.dials() == 1);
  FakeStream& other = proxy.client("192.0.2.2");
  other.sends(ask("/", "X-Forwarded-Proto: https\r\n"));
  CHECK(other.received.starts_with("HTTP/1.1 308 "));
}

TEST_CASE("a body that is redirected ends its connection, and one without a host is served") {
  Proxy proxy(redirecting());
  FakeStream& client = proxy.client();
  client.sends(ask("/", "Content-Length: 5\r\n", "POST"));
  CHECK(client.received.starts_with("HTTP/1.1 308 "));
  CHECK(contains(client.received, "\r\nConnection: close\r\n"));
  proxy.client().sends("GET / HTTP/1.0\r\n\r\n");
  CHECK(proxy.net.dials() == 1);
}

TEST_CASE("a challenge is answered with what is in its file, and nobody else is asked") {
  for (const char* const method : {"GET", "HEAD"}) {
    Proxy proxy(with_challenges());
    FakeStream& client = proxy.client();
    client.sends(ask("/.well-known/acme-challenge/a-Token_1", "", method));
    REQUIRE(proxy.net.files_asked.size() == 1);
    CHECK(proxy.net.files_asked[0].first == "/srv/acme/a-Token_1");
    proxy.net.read_file("a-Token_1.thumb");
    CHECK(client.received.starts_with(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 15\r\n"));
    CHECK(client.received.ends_with("\r\n\r\na-Token_1.thumb") == (method == std::string_view("GET")));
    CHECK(proxy.net.dials() == 0);
    client.sends(ask("/.well-known/acme-challenge/a-Token_1"));
    CHECK(proxy.net.files_asked.size() == 1);
    proxy.net.read_file("");
    CHECK(contains(client.received, "Content-Length: 0\r\n"));
  }
}

TEST_CASE("without a file a challenge goes the way of other requests") {
  Proxy proxy(with_challenges());
  FakeStream& client = proxy.client();
  client.sends(ask("/.well-known/acme-challenge/token"));
  proxy.net.read_file(std::nullopt);
  CHECK(client.received.starts_with("HTTP/1.1 308 "));
}

TEST_CASE("what is no token is no file's name") {
  for (const char* const token : {"", "..", "../x", "a/b", "a.b", "%2e%2e", "a?b", "a b"}) {
    Proxy proxy(with_challenges());
    proxy.client().sends(ask("/.well-known/acme-challenge/" + std::string(token)));
    CHECK(proxy.net.files_asked.empty());
  }
  Proxy proxy(with_challenges());
  proxy.client().sends(ask("/.well-known/acme-challenge/" + std::string(129, 'a')));
  proxy.client().sends(ask("/.well-known/acme-challenge/a", "Content-Length: 0\r\n", "POST"));
  CHECK(proxy.net.files_asked.empty());
}

TEST_CASE("a disk that does not answer in time holds nobody up, nor does a client that leaves meanwhile") {
  Proxy proxy(with_challenges());
  FakeStream& waits = proxy.client();
  waits.sends(ask("/.well-known/acme-challenge/token"));
  proxy.net.pass(60'000);
  CHECK(waits.received.starts_with("HTTP/1.1 308 "));
  CHECK(proxy.net.files_asked.empty());
  FakeStream& leaves = proxy.client();
  leaves.sends(ask("/.well-known/acme-challenge/token"));
  leaves.sends_abort();
  CHECK(proxy.net.files_asked.empty());
  CHECK_FALSE(leaves.open());
}

conf::Settings limited() {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.pools[0].rate = {.requests = 1, .burst = 3};
  settings.listeners[0].trusted_proxies = {conf::Cidr::parse("192.0.2.99").value()};
  return settings;
}

TEST_CASE("a client that asks too often is told when to ask again, and may go on on its connection") {
  Proxy proxy(limited());
  FakeStream& client = proxy.client();
  for (int i = 0; i < 3; ++i) {
    client.sends(kGet);
    (i == 0 ? proxy.backend() : proxy.dialed(0)).sends(kOk);
  }
  const size_t before = client.received.size();
  client.sends(kGet);
  const std::string refused = client.received.substr(before);
  CHECK(refused.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
  CHECK(contains(refused, "\r\nRetry-After: 1\r\n"));
  CHECK_FALSE(contains(refused, "\r\nConnection: close\r\n"));
  proxy.client("192.0.2.2").sends(kGet);
  CHECK(count(proxy.dialed(0).received, "GET /x ") == 4);
  proxy.dialed(0).sends(kOk);
  proxy.net.pass(1000);
  client.sends(kGet);
  CHECK(count(proxy.dialed(0).received, "GET /x ") == 5);
  proxy.dialed(0).sends(kOk);
  CHECK(proxy.plan().pools[0]->meters[0]->rate_limited.value() == 1);
  CHECK(proxy.plan().pools[0]->meters[0]->unserved.value() == 0);
}

TEST_CASE("behind a trusted proxy each client is counted that it tells of") {
  Proxy proxy(limited());
  FakeStream& front = proxy.client("192.0.2.99");
  const auto ask_for = [&](const std::string& client) {
    front.sends(ask("/", "X-Forwarded-For: " + client + "\r\n"));
  };
  for (int i = 0; i < 3; ++i) {
    ask_for("198.51.100.1");
    (i == 0 ? proxy.backend() : proxy.dialed(0)).sends(kOk);
  }
  CHECK(count(front.received, "HTTP/1.1 200 ") == 3);
  ask_for("198.51.100.1");
  CHECK(count(front.received, "HTTP/1.1 429 ") == 1);
  ask_for("198.51.100.2");
  proxy.dialed(0).sends(kOk);
  CHECK(count(front.received, "HTTP/1.1 200 ") == 4);
}

TEST_CASE("a body that is not read for a request too many ends its connection") {
  Proxy proxy(limited());
  for (int i = 0; i < 3; ++i) proxy.client().sends(kGet);
  FakeStream& client = proxy.client();
  client.sends(ask("/", "Content-Length: 5\r\n", "POST"));
  CHECK(client.received.starts_with("HTTP/1.1 429 "));
  CHECK(contains(client.received, "\r\nConnection: close\r\n"));
}

}  // namespace limpet::proxy::own_answers_test
