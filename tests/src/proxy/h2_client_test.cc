// What a client that speaks HTTP/2 sees, and what its requests are by the time that they reach a backend.
#include "src/proxy/h2_client.h"

#include "tests/src/proxy/h2_fixture.h"

namespace limpet::proxy::h2_client_test {

using namespace limpet::test;

Headers get(std::string path = "/x", std::string authority = "a") {
  return {{":method", "GET"},
          {":scheme", "http"},
          {":authority", std::move(authority)},
          {":path", std::move(path)}};
}
Headers post(std::string path = "/x") {
  return {{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", std::move(path)}};
}
Headers with(Headers head, std::string name, std::string value) {
  head.emplace_back(std::move(name), std::move(value));
  return head;
}
std::string answer(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

TEST_CASE("a request over HTTP/2 reaches a backend as HTTP/1.1, and its answer the client") {
  Proxy proxy;
  Visit client(proxy);
  const int32_t id = client.ask(get());
  FakeStream& backend = proxy.backend();
  CHECK(backend.received.starts_with("GET /x HTTP/1.1\r\nHost: a\r\n"));
  CHECK(contains(backend.received, "\r\nVia: 2.0 limpet"));
  CHECK(contains(backend.received, "\r\nX-Forwarded-Proto: http\r\n"));
  backend.sends(kOk);
  CHECK(client[id].status() == "200");
  CHECK(client[id].content == "ok");
  CHECK(client[id].ended);
  CHECK(client[id].field("via") == "1.1 limpet");
  CHECK(client[id].closed == NGHTTP2_NO_ERROR);
  CHECK(client.peer.settings_acks == 1);
  CHECK(client.stream.open());
  CHECK(backend.open());
}

TEST_CASE("a connection that comes octet by octet is served like one that comes whole") {
  Proxy proxy;
  Visit client(proxy);
  const int32_t id = client.peer.ask(get());
  client.stream.say(client.peer.next());
  while (client.stream.can_read()) client.stream.read(1);
  FakeStream& backend = proxy.backend();
  backend.say(kOk);
  while (backend.can_read()) backend.read(1);
  CHECK(client[id].content == "ok");
  CHECK(client[id].ended);
}

TEST_CASE("many requests of one connection are under way at once, and answered in whatever order") {
  Proxy proxy;
  Visit client(proxy);
  std::vector<int32_t> ids;
  for (int i = 0; i < 50; ++i) ids.push_back(client.peer.ask(get("/" + std::to_string(i))));
  client.peer.exchange();
  REQUIRE(proxy.net.dials() == 50);
  for (size_t i = 50; i-- > 0;) proxy.backend(i);
  for (size_t i = 50; i-- > 0;) {
    CHECK(contains(proxy.dialed(i).received, "GET /" + std::to_string(i) + " "));
    proxy.dialed(i).sends(answer(std::to_string(i)));
  }
  for (size_t i = 0; i < 50; ++i) CHECK(client[ids[i]].content == std::to_string(i));
}

TEST_CASE("content reaches the backend with its length, or in chunks where there is none, with trailers") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(with(post(), "content-length", "5"), true);
  client.peer.content(1, "hello", true);
  client.peer.exchange();
  FakeStream& first = proxy.backend(0);
  CHECK(contains(first.received, "content-length: 5\r\n"));
  CHECK(first.received.ends_with("\r\n\r\nhello"));

  client.ask(post(), true);
  FakeStream& second = proxy.backend(1);
  CHECK(contains(second.received, "Transfer-Encoding: chunked\r\n"));
  client.peer.content(3, "he");
  client.peer.exchange();
  client.peer.content(3, "llo");
  client.peer.trailers(3, {{"x-sum", "42"}, {"x-forwarded-for", "9"}});
  client.peer.exchange();
  CHECK(second.received.ends_with("\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nx-sum: 42\r\n\r\n"));
  second.sends(kOk);
  CHECK(client[3].content == "ok");
}

TEST_CASE("trailers of one request are not those of the next, which has none") {
  for (const size_t size : {10, 20'000}) {
    CAPTURE(size);
    Proxy proxy;
    Visit client(proxy);
    const int32_t first = client.ask(post(), true);
    client.peer.content(first, "x");
    client.peer.trailers(first, {{"x-secret", std::string(size, 's')}});
    client.peer.exchange();
    FakeStream& backend = proxy.backend();
    CHECK(backend.received.ends_with("s\r\n\r\n"));
    backend.sends(kOk);
    CHECK(client[first].ended);
    backend.received.clear();
    const int32_t next = client.ask(post(), true);
    client.peer.content(next, "x");
    client.peer.exchange();
    client.peer.content(next, "y", true);
    client.peer.exchange();
    CHECK(backend.received.ends_with("1\r\ny\r\n0\r\n\r\n"));
  }
}

TEST_CASE("trailers that are too many are refused, and not left out") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(post(), true);
  client.peer.content(1, "hello");
  client.peer.trailers(1, Headers(proxy.settings.limits.headers + 1, {"x", "y"}));
  client.peer.exchange();
  CHECK_FALSE(proxy.backend().received.ends_with("\r\n\r\n"));
  CHECK(client[1].status() == "431");
}

TEST_CASE("a request that is whole without content says so where its method has some") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(post());
  CHECK(contains(proxy.backend(0).received, "content-length: 0\r\n"));
  client.ask(get());
  CHECK_FALSE(contains(proxy.backend(1).received, "ontent-"));
}

TEST_CASE("an answer's trailers and interim answers reach the client") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(get());
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n");
  backend.sends("HTTP/1.1 100 Continue\r\n\r\n");
  backend.sends(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n");
  auto& message = client[1];
  REQUIRE(message.interim.size() == 2);
  CHECK(message.interim[0][0].second == "103");
  CHECK(message.interim[0][1] == std::pair<std::string, std::string>("link", "</a>"));
  CHECK(message.interim[1][0].second == "100");
  CHECK(message.status() == "200");
  CHECK(message.content == "ok");
  CHECK(message.trailers == Headers{{"x-sum", "7"}});
  CHECK(message.ended);
  CHECK(message.field("transfer-encoding").empty());
  CHECK(message.field("connection").empty());
}

TEST_CASE("answers without content end with their head") {
  for (const std::string head :
       {"HTTP/1.1 204 None\r\n\r\n", "HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}) {
    CAPTURE(head);
    Proxy proxy;
    Visit client(proxy);
    client.ask(get());
    proxy.backend().sends(head);
    CHECK(client[1].ended);
    CHECK(client[1].content.empty());
    CHECK(proxy.dialed(0).open());
  }
  Proxy proxy;
  Visit client(proxy);
  Headers head = get();
  head[0].second = "HEAD";
  client.ask(head);
  proxy.backend().sends("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  CHECK(client[1].ended);
  CHECK(client[1].field("content-length") == "1000");
}

TEST_CASE("crumbs of Cookie are one field for the backend (RFC 9113, 8.2.3)") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(with(with(with(get(), "cookie", "a=1"), "x", "y"), "cookie", "b=2; c=3"));
  const std::string& received = proxy.backend().received;
  CHECK(contains(received, "\r\ncookie: a=1; b=2; c=3\r\n"));
  CHECK(count(received, "ookie: ") == 1);
}

TEST_CASE("all requests of one session go to its backend") {
  Proxy proxy(3, {Kind::session_id, Kind::ip});
  Visit client(proxy);
  client.ask(with(get(), "cookie", "JSESSIONID=here"));
  proxy.backend(0).sends("HTTP/1.1 200 OK\r\nSet-Cookie: JSESSIONID=made\r\nContent-Length: 0\r\n\r\n");
  for (int i = 0; i < 5; ++i) client.ask(with(with(get(), "cookie", "a=b"), "cookie", "JSESSIONID=made"));
  CHECK(count(proxy.dialed(0).received, "GET ") == 2);
  for (size_t i = 1; i < proxy.net.dials(); ++i)
    CHECK(proxy.dialed(i).address()->text() == proxy.dialed(0).address()->text());
}

TEST_CASE("a stream that its client cancels is cut at the backend, and others go on") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(get("/1"));
  client.ask(get("/2"));
  proxy.backend(0);
  proxy.backend(1);
  client.peer.reset(1);
  client.peer.exchange();
  CHECK_FALSE(proxy.dialed(0).open());
  proxy.dialed(1).sends(kOk);
  CHECK(client[3].content == "ok");
  CHECK(client.stream.open());
}

TEST_CASE("an answer that its backend cuts ends in a reset, and others go on") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(get("/1"));
  client.ask(get("/2"));
  proxy.backend(0);
  proxy.backend(1);
  proxy.dialed(0).sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  proxy.dialed(0).sends_end();
  CHECK(client[1].content == "half");
  CHECK_FALSE(client[1].ended);
  CHECK(client[1].closed == NGHTTP2_INTERNAL_ERROR);
  proxy.dialed(1).sends(kOk);
  CHECK(client[3].content == "ok");
}

TEST_CASE("a client that goes away takes all its requests along") {
  for (const bool orderly : {true, false}) {
    Proxy proxy;
    Visit client(proxy);
    for (int i = 0; i < 3; ++i) client.ask(get());
    for (size_t i = 0; i < 3; ++i) proxy.backend(i);
    orderly ? client.stream.sends_end() : client.stream.sends_abort();
    for (size_t i = 0; i < 3; ++i) CHECK_FALSE(proxy.dialed(i).open());
    CHECK_FALSE(client.stream.open());
  }
}

TEST_CASE("an answer that ends before its request resets the stream without an error (RFC 9113, 8.1)") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(post(), true);
  client.peer.content(1, "some");
  client.peer.exchange();
  proxy.backend().sends("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
  CHECK(client[1].status() == "403");
  CHECK(client[1].content == "no");
  CHECK(client[1].ended);
  CHECK(client[1].closed == NGHTTP2_NO_ERROR);
  client.ask(get());
  proxy.backend(1).sends(kOk);
  CHECK(client[3].content == "ok");
}

TEST_CASE("content waits for a backend that lags, and no more of it comes than the stream's window") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(post(), true);
  FakeStream& backend = proxy.backend();
  backend.room = 100;
  client.peer.content(1, std::string(1'000'000, 'x'), true);
  client.peer.exchange();
  CHECK(client.stream.read_bytes() < 200'000);
  for (int i = 0; i < 100'000 && !backend.received.ends_with("0\r\n\r\n"); ++i) {
    backend.room = kAll;
    backend.drain();
    client.peer.exchange();
  }
  CHECK(std::count(backend.received.begin(), backend.received.end(), 'x') ==
        1'000'001);  // and that of the path
}

TEST_CASE("content that is taken as it comes may be on its way in greater amounts, and holds nobody up") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(post(), true);
  FakeStream& backend = proxy.backend();
  CHECK(client.peer.window(1) <= 64 * 1024);
  for (int i = 0; i < 40; ++i) {
    client.peer.content(1, std::string(64 * 1024, 'x'));
    client.peer.exchange();
  }
  CHECK(client.peer.window(1) >= 512 * 1024);
  CHECK(client.peer.window(1) <= 1024 * 1024);

  backend.room = 0;
  const size_t before = client.stream.read_bytes();
  client.peer.content(1, std::string(5'000'000, 'x'));
  client.peer.exchange();
  CHECK(client.stream.read_bytes() - before < 1'100'000);
  CHECK(client.peer.window(1) == 0);
  client.ask(post("/other"), true);
  FakeStream& other = proxy.backend(1);
  client.peer.content(3, std::string(150'000, 'y'), true);
  client.peer.exchange();
  CHECK(other.received.ends_with("0\r\n\r\n"));
}

TEST_CASE("an answer waits for a client that opens no window, and its backend is read no further") {
  Proxy proxy;
  Visit client(proxy);
  client.peer.opens_windows = false;
  client.ask(get("/1"));
  FakeStream& backend = proxy.backend();
  backend.sends("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
  backend.say(std::string(1'000'000, 'x'));
  backend.read_all();
  client.peer.exchange();
  CHECK(backend.read_bytes() < 300'000);
  CHECK(client[1].content.size() == 65'535);
  size_t had = 0;
  for (int i = 0; i < 1000 && !client[1].ended; ++i) {
    const size_t now = client[1].content.size();
    client.peer.open_windows(1, now - std::exchange(had, now));
    client.peer.exchange();
    backend.read_all();
  }
  CHECK(client[1].content.size() == 1'000'000);
}

TEST_CASE(
    "an answer that comes while another is on its way goes on when that has left, though in the same turn") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(get("/1"));
  client.ask(get("/2"));
  client.stream.room = 0;
  proxy.backend(0).sends(kOk);
  REQUIRE(client.stream.queued() != 0);
  FakeStream& backend = proxy.backend(1);
  proxy.net.events_in_turn = 2;
  backend.sends("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + std::string(10, 'x'));
  client.stream.room = kAll;
  client.stream.drain();
  proxy.net.events_in_turn = 1;
  backend.sends(std::string(10, 'x'));
  CHECK(client[3].content.size() == 20);
}

TEST_CASE("whoever opens no window for a small answer is not waited for, and leaves nothing open") {
  Proxy proxy;
  Visit client(proxy, {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}});
  client.ask(get());
  proxy.backend().sends(kOk);
  proxy.net.pass(conf::millis(proxy.settings.timeouts.body) + 100);
  CHECK(client[1].closed == NGHTTP2_CANCEL);
  proxy.net.pass(conf::millis(proxy.settings.timeouts.idle) + 100);
  client.peer.hear();
  CHECK(client.stream.finished());
}

TEST_CASE("what is not valid is refused in words, or by a reset, and reaches no backend") {
  const auto refused = [](Headers head, std::string_view expected) {
    CAPTURE(expected);
    Proxy proxy;
    Visit client(proxy);
    client.ask(head);
    CHECK(proxy.net.dials() == 0);
    CHECK(client.stream.open());
    const auto& message = client[1];
    return message.status().empty() ? "reset " + std::to_string(message.closed.value_or(0))
                                    : message.status();
  };
  CHECK(refused(with(get("/x", "a"), "host", "b"), "two hosts") == "400");
  CHECK(refused(get("/x", "a b"), "a space in the authority") == "reset 1");
  CHECK(refused(get("/x y"), "a space in the path") == "reset 1");
  CHECK(refused(get("/x#y"), "a fragment") == "400");
  CHECK(refused(get("*"), "a star") == "reset 1");
  CHECK(refused(with(get(), "connection", "close"), "connection") == "reset 1");
  CHECK(refused(with(get(), "transfer-encoding", "chunked"), "transfer-encoding") == "reset 1");
  CHECK(refused(with(get(), "te", "gzip"), "te") == "reset 1");
  CHECK(refused(with(get(), "x", "a\r\nb: c"), "a line end") == "reset 1");
  CHECK(refused(with(get(), "x y", "a"), "a name with a space") == "reset 1");
  CHECK(refused(with(get(), ":x", "a"), "an unknown pseudo-field") == "reset 1");
  CHECK(refused(with(get(), ":path", "/z"), "two paths") == "reset 1");
  CHECK(refused({{":method", "GET"}, {":scheme", "http"}, {":path", "/"}}, "no authority") == "reset 1");
  CHECK(refused({{":method", "GET"}, {":scheme", "ftp"}, {":authority", "a"}, {":path", "/"}}, "scheme") ==
        "400");
  CHECK(refused({{":method", "CONNECT"}, {":authority", "a"}}, "CONNECT") == "501");
  CHECK(refused(with(get(), "expect", "miracles"), "expect") == "417");
  CHECK(refused(with(get(), "x", std::string(40'000, 'y')), "too large") == "431");
  CHECK(refused(get("/" + std::string(10'000, 'y')), "too long") == "414");
}

TEST_CASE("what Limpet answers itself is a whole answer, and nothing of HTTP/1 is in it") {
  conf::Settings settings = settings_of(1, {Kind::ip});
  settings.routes[0].host = "b";
  Proxy proxy(settings);
  Visit client(proxy);
  client.ask(get());
  const auto& message = client[1];
  CHECK(message.status() == "404");
  CHECK(message.content.starts_with("404 Not Found: no pool serves"));
  CHECK(message.field("content-length") == std::to_string(message.content.size()));
  CHECK(message.head.size() == 6);
  CHECK(message.ended);
  for (const auto& [name, value] : message.head)
    CHECK(name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ \r") == name.npos);
}

TEST_CASE("a call of gRPC that Limpet refuses is answered by a head alone, with gRPC's status") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(with(with(post("/shop.Cart/Add"), "content-type", "application/grpc"), "te", "trailers"), true);
  proxy.dialed(0).refuse();
  const auto& message = client[1];
  CHECK(message.status() == "200");
  CHECK(message.field("grpc-status") == "14");
  CHECK(message.field("grpc-message") == "503: no server can be reached");
  CHECK(message.content.empty());
  CHECK(message.ended);
}

TEST_CASE("a call whose answer is cut ends with gRPC's status behind what came of it") {
  for (const bool sends_still : {false, true}) {
    CAPTURE(sends_still);
    Proxy proxy(speaking_http2());
    Visit client(proxy);
    client.ask(with(post("/shop.Cart/Talk"), "content-type", "application/grpc"), sends_still);
    Server backend(proxy);
    backend.peer.answer(1, {{":status", "200"}, {"content-type", "application/grpc"}}, true);
    backend.peer.content(1, "a message", false);
    backend.peer.exchange();
    backend.stream.sends_abort();
    const auto& message = client[1];
    CHECK(message.content == "a message");
    CHECK(message.trailers ==
          Headers{{"grpc-status", "14"}, {"grpc-message", "502: the backend cut its answer short"}});
    CHECK(message.ended);
    CHECK(message.closed == NGHTTP2_NO_ERROR);
    CHECK(proxy.context().pool(0).meter().backends[0].failed.value() == 1);
    CHECK(proxy.context().pool(0).meter().backends[0].answered_at.us() == 0);
  }
}

TEST_CASE(
    "an answer to a call that says how long it is, and one to any other request, is reset where it is cut") {
  for (const auto& [asked, answered] :
       {std::pair{Headers{{"content-type", "application/grpc"}},
                  Headers{{"content-type", "application/grpc"}, {"content-length", "100"}}},
        std::pair{Headers{{"content-type", "application/grpc"}}, Headers{{"content-type", "text/html"}}},
        std::pair{Headers{{"content-type", "application/grpc-web"}},
                  Headers{{"content-type", "application/grpc-web"}}}}) {
    Proxy proxy(speaking_http2());
    Visit client(proxy);
    Headers head = post();
    head.insert(head.end(), asked.begin(), asked.end());
    client.ask(head);
    Server backend(proxy);
    Headers answer{{":status", "200"}};
    answer.insert(answer.end(), answered.begin(), answered.end());
    backend.peer.answer(1, answer, true);
    backend.peer.content(1, "part", false);
    backend.peer.exchange();
    backend.stream.sends_abort();
    CHECK(client[1].content == "part");
    CHECK(client[1].closed == NGHTTP2_INTERNAL_ERROR);
    CHECK(client[1].trailers.empty());
  }
}

TEST_CASE("a call is waited for as long as its client says") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(with(with(post("/a/B"), "content-type", "application/grpc"), "grpc-timeout", "5M"));
  client.ask(with(post("/a/B"), "content-type", "application/grpc"));
  proxy.backend(0);
  proxy.backend(1);
  proxy.net.pass(conf::millis(proxy.settings.pools[0].timeouts.head) + 100);
  CHECK(client[3].field("grpc-status") == "4");
  CHECK(client[1].head.empty());
  proxy.net.pass(300'000);
  CHECK(client[1].field("grpc-status") == "4");
}

TEST_CASE("content that is not as long as it says resets its stream, and its backend sees no whole request") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(with(post(), "content-length", "5"), true);
  FakeStream& backend = proxy.backend();
  client.peer.content(1, "hello, world", true);
  client.peer.exchange();
  CHECK(client[1].closed == NGHTTP2_PROTOCOL_ERROR);
  CHECK_FALSE(backend.open());
  CHECK_FALSE(contains(backend.received, "hello"));
}

TEST_CASE("a shutdown is told in two steps, and what is under way is finished") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(get());
  proxy.backend();
  proxy.shut_down();
  client.peer.hear();
  CHECK(client.peer.goaways == std::vector<uint32_t>{0});
  CHECK(client.peer.last_stream == 0x7fff'ffff);
  client.peer.exchange();
  CHECK(client.peer.goaways.size() == 2);
  CHECK(client.peer.last_stream == 1);
  CHECK(client.stream.open());
  proxy.dialed(0).sends(kOk);
  CHECK(client[1].content == "ok");
  CHECK(client.stream.finished());
}

TEST_CASE("a client that does not see a shutdown coming is waited for, but not long") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(get());
  proxy.backend().sends(kOk);
  client.peer.exchange();
  proxy.shut_down();
  CHECK_FALSE(client.stream.finished());
  proxy.net.pass(1100);
  CHECK(client.stream.finished());
  proxy.net.pass(2100);
  CHECK_FALSE(client.stream.open());
}

TEST_CASE("a connection on which nothing is asked ends after timeouts.idle, and says so") {
  Proxy proxy;
  Visit client(proxy);
  client.ask(get());
  proxy.backend().sends(kOk);
  client.peer.exchange();
  proxy.net.pass(conf::millis(proxy.settings.timeouts.idle) + 100);
  client.peer.hear();
  CHECK(client.peer.goaways == std::vector<uint32_t>{0});
  CHECK(client.stream.finished());
}

TEST_CASE("a head that does not come whole in time ends its connection") {
  Proxy proxy;
  Visit client(proxy);
  client.peer.exchange();
  client.stream.sends(frame(NGHTTP2_HEADERS, 0, 1, "\x82"));
  proxy.net.pass(conf::millis(proxy.settings.timeouts.head) / 2);
  client.stream.sends(frame(NGHTTP2_CONTINUATION, 0, 1, "\x86"));
  CHECK(client.stream.open());
  proxy.net.pass(conf::millis(proxy.settings.timeouts.head) / 2 + 100);
  client.peer.hear();
  CHECK(client.peer.goaways == std::vector<uint32_t>{NGHTTP2_ENHANCE_YOUR_CALM});
  CHECK(client.stream.finished());
}

TEST_CASE("a head that unpacks to megabytes is not looked at to its end, and whoever sends many is cut") {
  Proxy proxy;
  Visit client(proxy);
  client.peer.exchange();
  // A field of 4000 octets goes into the table, and comes out again for each octet that names it.
  const std::string value(4000, 'x');
  const std::string first = std::string(
                                "\x82\x86\x84\x41\x01"
                                "a\x40\x01"
                                "b\x7f\xa1\x1e",
                                12) +
                            value;
  client.stream.sends(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, first));
  CHECK(proxy.net.dials() == 1);
  uint32_t id = 3;
  for (; client.stream.open() && !client.stream.finished() && id < 1000; id += 2) {
    const std::string bomb =
        "\x82\x86\x84\x41\x01"
        "a" +
        std::string(10'000, '\xbf');
    client.stream.sends(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, bomb));
  }
  CHECK(id > 50);
  CHECK(id < 250);
  CHECK(proxy.net.dials() == 1);
  CHECK(proxy.plan().listeners[0]->abused[static_cast<size_t>(http::H2Abuse::heads)] == 1);
}

TEST_CASE("whoever begins and cancels streams without end is cut, and counted") {
  Proxy proxy;
  Visit client(proxy);
  client.peer.exchange();
  for (int i = 0; i < 1000 && client.peer.goaways.empty() && client.stream.open(); ++i) {
    client.peer.reset(client.ask(get()));
    client.peer.exchange();
  }
  CHECK(client.peer.goaways == std::vector<uint32_t>{NGHTTP2_ENHANCE_YOUR_CALM});
  CHECK(proxy.net.dials() == 201);
  CHECK(proxy.plan().listeners[0]->abused[static_cast<size_t>(http::H2Abuse::resets)] == 1);
}

}  // namespace limpet::proxy::h2_client_test
