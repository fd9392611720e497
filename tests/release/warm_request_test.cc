// A request like those before it allocates nothing: not in the proxy, not in routing, not for its line in the
// log.
#include "routing/token.h"
#include "tests/release/allocations.h"
#include "tests/src/proxy/proxy_fixture.h"

using namespace limpet;
using namespace limpet::test;

namespace {

// What an access log needs to be on, without a reader.
struct Logged {
  Logged()
      : log(std::get<std::unique_ptr<AccessLog>>(AccessLog::open({.access = "/dev/null"}))), buffer(*log) {}
  std::unique_ptr<AccessLog> log;
  AccessLogBuffer buffer;
};

// One event, and how often it allocates; the fakes' own memory is there beforehand.
template <class Event>
size_t allocations_of(Event&& event) {
  const size_t before = allocations;
  event();
  return allocations - before;
}

struct Exchanged {
  size_t asking = 0;
  size_t answering = 0;
};

// The request and its answer, as two reads.
Exchanged exchange(FakeStream& client, FakeStream& backend, std::string_view request,
                   std::string_view answer) {
  client.say(request);
  backend.say(answer);
  Exchanged result;
  result.asking = allocations_of([&] { client.read(); });
  result.answering = allocations_of([&] { backend.read(); });
  return result;
}

void check_warm(std::vector<Kind> affinity, std::string_view request, std::string_view answer,
                std::string_view cookie_of_first = {}) {
  Logged logged;
  Proxy proxy(settings_of(3, std::move(affinity)), &logged.buffer);
  proxy.net.after_event = {};
  FakeStream& client = proxy.client("2001:db8:1234:5678:9abc:def0:1234:5678");
  client.received.reserve(1 << 20);
  CHECK(allocations_of([&] { client.sends(kGet); }) > 0);  // a cold one does
  FakeStream& backend = proxy.backend();
  backend.received.reserve(1 << 20);
  std::string first(kOk);
  if (!cookie_of_first.empty()) first.insert(17, std::string(cookie_of_first));
  backend.sends(first);
  std::string cookies = "JSESSIONID=0123456789abcdef";
  const size_t token = client.received.find("limpet_shop=");
  if (token != std::string::npos)
    cookies.append("; ").append(client.received, token, 12 + routing::TokenSealer::kTextSize);
  std::string whole(request);
  whole.insert(whole.find("\r\n") + 2, "Cookie: " + cookies + "\r\n");
  for (int i = 0; i < 3; ++i) exchange(client, backend, whole, answer);
  const Exchanged warm = exchange(client, backend, whole, answer);
  CHECK(warm.asking == 0);
  CHECK(warm.answering == 0);
  CHECK(proxy.net.dials() == 1);
  CHECK(count(client.received, "200 OK") == 5);
}

constexpr std::string_view kBrowser =
    "GET /shop/basket?item=12345 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux "
    "x86_64)\r\n"
    "Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate\r\nReferer: "
    "http://shop.example.com/\r\n\r\n";
constexpr std::string_view kPage =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-cache\r\nContent-Length: 5\r\n\r\nhello";

}  // namespace

TEST_CASE("a warm request of a session by cookie allocates nothing") {
  check_warm({Kind::cookie}, kBrowser, kPage);
}

TEST_CASE("a warm request of a session by address allocates nothing") {
  check_warm({Kind::ip}, kBrowser, kPage);
}

TEST_CASE("a warm request of a session by the application's id allocates nothing") {
  check_warm({Kind::session_id, Kind::ip}, kBrowser, kPage,
             "Set-Cookie: JSESSIONID=0123456789abcdef; Path=/\r\n");
}

TEST_CASE("a warm chunked answer allocates nothing") {
  check_warm({Kind::ip}, kBrowser,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

TEST_CASE("a warm request with a small body allocates nothing") {
  check_warm({Kind::ip}, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", kPage);
}
