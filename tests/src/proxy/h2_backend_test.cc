// What exchanges make of a backend that speaks HTTP/2, and what that sees of them.
#include "src/proxy/h2_backend.h"

#include "tests/src/proxy/h2_fixture.h"

namespace limpet::proxy::h2_backend_test {

using namespace limpet::test;

const Headers kHeadOk{{":status", "200"}, {"content-length", "2"}};
constexpr std::string_view kPost = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";

TEST_CASE("a request reaches a backend over HTTP/2, and its answer the client as HTTP/1.1") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends(
      "GET /x?y HTTP/1.1\r\nHost: a:80\r\nConnection: keep-alive, x-tag\r\nX-Tag: 1\r\nTE: "
      "trailers\r\nAccept: b\r\n\r\n");
  Server server(proxy);
  auto& request = server[1];
  CHECK(Headers(request.head.begin(), request.head.begin() + 4) ==
        Headers{{":method", "GET"}, {":scheme", "http"}, {":path", "/x?y"}, {":authority", "a:80"}});
  CHECK(request.field("accept") == "b");
  CHECK(request.field("te") == "trailers");
  CHECK(request.field("host") == "");
  CHECK(request.field("connection") == "");
  CHECK(request.field("x-tag") == "");
  CHECK(request.ended);
  server.say(1);
  CHECK(client.received.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(contains(client.received, "\r\nVia: 2.0 limpet\r\n"));
  CHECK(client.received.ends_with("\r\n\r\nok"));
  CHECK(client.open());
  CHECK(server.stream.open());
}

TEST_CASE("many requests share one connection, and are answered in whatever order") {
  Proxy proxy(speaking_http2());
  std::vector<FakeStream*> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(&proxy.client());
    clients.back()->sends("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  Server server(proxy);
  CHECK(proxy.net.dials() == 1);
  for (int32_t i = 20; i-- > 0;) {
    const std::string path = server[2 * i + 1].field(":path");
    server.say(2 * i + 1, path);
  }
  for (size_t i = 0; i < 20; ++i) CHECK(clients[i]->received.ends_with("/" + std::to_string(i)));
}

TEST_CASE("answers that come in one read reach each its own client") {
  Proxy proxy(speaking_http2());
  FakeStream &one = proxy.client(), &other = proxy.client();
  one.sends(kGet);
  other.sends(kGet);
  Server server(proxy);
  server.peer.answer(1, {{":status", "200"}}, true);
  server.peer.answer(3, {{":status", "200"}}, true);
  server.peer.content(1, std::string(3000, 'y'), true);
  server.peer.content(3, std::string(3000, 'z'), true);
  server.peer.exchange();
  CHECK(count(one.received, "y") == 3000);
  CHECK(count(one.received, "z") == 0);
  CHECK(count(other.received, "y") == 0);
  CHECK(one.received.ends_with("0\r\n\r\n"));
  CHECK(other.received.ends_with("0\r\n\r\n"));
}

TEST_CASE("content and trailers go both ways") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  Server server(proxy);
  CHECK(server[1].content == "hello");
  CHECK_FALSE(server[1].ended);
  CHECK(server[1].field("transfer-encoding") == "");
  client.sends("1\r\n!\r\n0\r\nX-Sum: 6\r\n\r\n");
  CHECK(server[1].content == "hello!");
  CHECK(server[1].trailers == Headers{{"x-sum", "6"}});
  CHECK(server[1].ended);
  server.peer.answer_interim(1, {{":status", "103"}, {"link", "</a>"}});
  server.peer.answer(1, {{":status", "200"}}, true);
  server.peer.content(1, "yes");
  server.peer.trailers(1, {{"x-end", "7"}});
  server.peer.exchange();
  CHECK(contains(client.received, "HTTP/1.1 103 "));
  CHECK(contains(client.received, "Transfer-Encoding: chunked\r\n"));
  CHECK(client.received.ends_with("3\r\nyes\r\n0\r\nx-end: 7\r\n\r\n"));
}

TEST_CASE("a client that leaves cancels its stream, and others go on") {
  Proxy proxy(speaking_http2());
  FakeStream &one = proxy.client(), &other = proxy.client();
  one.sends(kGet);
  other.sends(kGet);
  Server server(proxy);
  one.sends_abort();
  CHECK(server[1].closed == NGHTTP2_CANCEL);
  server.say(3);
  CHECK(other.received.ends_with("ok"));
  CHECK(server.stream.open());
}

TEST_CASE("a stream that the backend resets fails one request alone") {
  Proxy proxy(speaking_http2());
  FakeStream &one = proxy.client(), &other = proxy.client();
  one.sends(kPost);
  one.sends("hello");
  other.sends(kGet);
  Server server(proxy);
  server.peer.reset(1, NGHTTP2_INTERNAL_ERROR);
  server.peer.exchange();
  CHECK(one.received.starts_with("HTTP/1.1 502 "));
  server.say(3);
  CHECK(other.received.ends_with("ok"));
}

TEST_CASE(
    "what a backend says that it has not looked at is sent again, whatever its method, with its content") {
  for (const bool goes_away : {false, true}) {
    CAPTURE(goes_away);
    Proxy proxy(speaking_http2());
    FakeStream& first = proxy.client();
    first.sends(kGet);
    Server server(proxy);
    server.say(1);
    FakeStream& client = proxy.client();
    client.sends(kPost);
    client.sends("hello");
    CHECK(server[3].content == "hello");
    if (goes_away) {
      server.peer.go_away(1);
    } else {
      server.peer.reset(3, NGHTTP2_REFUSED_STREAM);
    }
    server.peer.exchange();
    REQUIRE(proxy.net.dials() == 2);
    Server again(proxy, 1);
    CHECK(again[1].content == "hello");
    CHECK(again[1].field(":method") == "POST");
    again.say(1);
    CHECK(client.received.ends_with("ok"));
    CHECK(proxy.failures.empty());
  }
}

TEST_CASE("a request that goes out on a fresh connection and is refused there is not sent for ever") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends(kGet);
  for (size_t i = 0; i < 20 && i < proxy.net.dials(); ++i) {
    Server server(proxy, i);
    server.peer.reset(1, NGHTTP2_REFUSED_STREAM);
    server.peer.exchange();
  }
  CHECK(proxy.net.dials() < 5);
  CHECK(contains(client.received, "HTTP/1.1 50"));
}

TEST_CASE("a backend that goes away finishes what it has, and takes no more") {
  Proxy proxy(speaking_http2());
  FakeStream &one = proxy.client(), &other = proxy.client();
  one.sends(kGet);
  Server server(proxy);
  server.peer.go_away(1);
  server.peer.exchange();
  other.sends(kGet);
  REQUIRE(proxy.net.dials() == 2);
  Server fresh(proxy, 1);
  fresh.say(1);
  CHECK(other.received.ends_with("ok"));
  server.say(1);
  CHECK(one.received.ends_with("ok"));
  CHECK_FALSE(server.stream.open());
}

TEST_CASE("no more requests are under way on a connection than its backend takes") {
  Proxy proxy(speaking_http2());
  std::vector<FakeStream*> clients;
  clients.push_back(&proxy.client());
  clients[0]->sends(kGet);
  Server server(proxy, 0, {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 3}});
  for (int i = 1; i < 5; ++i) {
    clients.push_back(&proxy.client());
    clients.back()->sends(kGet);
  }
  REQUIRE(proxy.net.dials() == 2);
  Server more(proxy, 1);
  for (const int32_t id : {1, 3, 5}) server.say(id);
  for (const int32_t id : {1, 3}) more.say(id);
  for (FakeStream* client : clients) CHECK(client->received.ends_with("ok"));
}

TEST_CASE(
    "what comes before a backend has said how many streams it takes is refused, and answered nevertheless") {
  for (const std::string_view request : {kGet, kPost}) {
    Proxy proxy(speaking_http2());
    std::vector<FakeStream*> clients;
    for (int i = 0; i < 9; ++i) {
      clients.push_back(&proxy.client());
      clients.back()->sends(request);
      if (request == kPost) clients.back()->sends("hello");
    }
    REQUIRE(proxy.net.dials() == 1);
    for (size_t i = 0; i < 3; ++i) {
      Server server(proxy, i, {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 3}});
      REQUIRE(proxy.net.dials() == 3);  // two more, now that it is known that each takes three
      for (const int32_t id : {1, 3, 5}) server.say(id);
    }
    for (FakeStream* client : clients) CHECK(client->received.ends_with("ok"));
    CHECK(proxy.failures.empty());
  }
}

TEST_CASE("a connection that breaks fails what had been seen, and sends the rest again") {
  Proxy proxy(speaking_http2());
  FakeStream &get = proxy.client(), &post = proxy.client(), &half = proxy.client();
  half.sends(kGet);
  Server server(proxy);
  server.peer.answer(1, {{":status", "200"}, {"content-length", "10"}}, true);
  server.peer.content(1, "part");
  server.peer.exchange();
  get.sends(kGet);
  post.sends(kPost);
  post.sends("hello");
  server.stream.sends_abort();
  CHECK(half.finished());
  CHECK(post.received.starts_with("HTTP/1.1 502 "));
  REQUIRE(proxy.net.dials() == 2);
  Server again(proxy, 1);
  again.say(1);
  CHECK(get.received.ends_with("ok"));
}

TEST_CASE("a client that lags behind stops its own stream, and no other") {
  Proxy proxy(speaking_http2());
  FakeStream &slow = proxy.client(), &other = proxy.client();
  slow.sends(kGet);
  Server server(proxy);
  slow.room = 1000;
  server.peer.answer(1, {{":status", "200"}}, true);
  server.peer.content(1, std::string(2'000'000, 'x'), true);
  server.peer.exchange();
  CHECK(slow.queued() < 600'000);
  other.sends(kGet);
  server.say(3);
  CHECK(other.received.ends_with("ok"));
  for (int i = 0; i < 1000 && !slow.received.ends_with("0\r\n\r\n"); ++i) {
    slow.room = kAll;
    slow.drain();
    server.peer.exchange();
  }
  CHECK(slow.received.ends_with("0\r\n\r\n"));
}

TEST_CASE("a backend that opens no window for content makes its client wait, and no other") {
  Proxy proxy(speaking_http2());
  FakeStream &slow = proxy.client(), &other = proxy.client();
  slow.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  Server server(proxy);
  server.peer.opens_windows = false;
  slow.say(std::string(1'000'000, 'x'));
  slow.read_all();
  server.peer.exchange();
  CHECK(server[1].content.size() == 65'535);
  CHECK(slow.read_bytes() < 300'000);
  other.sends(kGet);
  server.say(3);
  CHECK(other.received.ends_with("ok"));
  size_t had = 0;
  for (int i = 0; i < 1000 && !server[1].ended; ++i) {
    const size_t now = server[1].content.size();
    server.peer.open_windows(1, now - std::exchange(had, now));
    server.peer.exchange();
    slow.read_all();
  }
  CHECK(server[1].content.size() == 1'000'000);
}

TEST_CASE("a backend that does not answer is asked whether it is there, and takes no more until it says so") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends(kGet);
  Server server(proxy);
  proxy.net.pass(conf::millis(proxy.settings.pools[0].timeouts.head) + 100);
  CHECK(client.received.starts_with("HTTP/1.1 504 "));
  FakeStream& other = proxy.client();
  other.sends(kGet);
  CHECK(proxy.net.dials() == 2);
  SUBCASE("it is") {
    CHECK(server[1].closed == NGHTTP2_CANCEL);
    CHECK(server.peer.pings == 1);
    FakeStream& third = proxy.client();
    third.sends(kGet);
    CHECK(proxy.net.dials() == 2);
    server.say(3);
    CHECK(third.received.ends_with("ok"));
  }
  SUBCASE("it is not") {
    proxy.net.pass(5100);
    CHECK_FALSE(server.stream.open());
  }
}

TEST_CASE("a backend that takes nothing more of a request that is given up is asked as well") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  Server server(proxy);
  server.peer.answer(1, {{":status", "200"}}, true);
  server.peer.exchange();
  server.stream.room = 0;
  client.sends(std::string(10'000, 'x'));
  client.sends_abort();
  CHECK(server.stream.open());
  proxy.net.pass(5100);
  CHECK_FALSE(server.stream.open());
}

TEST_CASE("an answer whose trailers are too many is cut, and does without none") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends(kGet);
  Server server(proxy);
  server.peer.answer(1, {{":status", "200"}}, true);
  server.peer.content(1, "hello");
  server.peer.trailers(1, Headers(kResponseLimits.fields + 1, {"x", "y"}));
  server.peer.exchange();
  CHECK_FALSE(client.received.ends_with("\r\n\r\n"));
  CHECK(client.end_seen != FakeStream::End::open);  // without the last chunk
}

TEST_CASE("an unused connection is closed after timeouts.keep_alive, and when its backend is retired") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends(kGet);
  Server server(proxy);
  server.say(1);
  SUBCASE("time") {
    proxy.net.pass(conf::millis(proxy.settings.pools[0].timeouts.keep_alive) + 100);
    CHECK_FALSE(server.stream.open());
  }
  SUBCASE("retired") {
    proxy.context().pool(0).connections.retire(0);
    proxy.net.event_over();
    CHECK_FALSE(server.stream.open());
  }
}

TEST_CASE("a connection whose backend takes no stream at all is not kept") {
  Proxy proxy(speaking_http2());
  FakeStream& client = proxy.client();
  client.sends(kGet);
  Server server(proxy);
  const std::string none_at_once(std::string_view("\0\3\0\0\0\0", 6));
  server.say(1);
  CHECK(client.received.ends_with("ok"));
  CHECK(server.stream.open());
  server.stream.sends(frame(NGHTTP2_SETTINGS, 0, 0, none_at_once));
  CHECK_FALSE(server.stream.open());
}

TEST_CASE("what is no HTTP/2 is nonsense") {
  for (const std::string& said : {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"),
                                  frame(0, 0, 1, "data on no stream"), frame(NGHTTP2_SETTINGS, 0, 1, "")}) {
    Proxy proxy(speaking_http2());
    FakeStream& client = proxy.client();
    client.sends(kGet);
    proxy.backend().sends(said);
    CHECK(client.received.starts_with("HTTP/1.1 502 "));
    CHECK_FALSE(proxy.dialed(0).open());
  }
}

TEST_CASE("an answer that is malformed fails its request alone") {
  for (const Headers& head :
       {Headers{{":status", "20"}}, Headers{{"x", "y"}}, Headers{{":status", "200"}, {"connection", "close"}},
        Headers{{":status", "200"}, {"content-length", "1"}, {"content-length", "2"}},
        Headers{{":status", "101"}}}) {
    Proxy proxy(speaking_http2());
    FakeStream& client = proxy.client();
    client.sends(kGet);
    Server server(proxy);
    server.peer.answer(1, head);
    server.peer.exchange();
    CHECK(client.received.starts_with("HTTP/1.1 502 "));
    CHECK(server.stream.open());
  }
}

TEST_CASE("content that is not as long as its head says is no HTTP, and a reset is another failure") {
  const auto failed = [](const std::function<void(H2Peer&)>& answer) {
    Proxy proxy(speaking_http2());
    FakeStream& client = proxy.client();
    client.sends(kGet);
    Server server(proxy);
    server.peer.answer(1, kHeadOk, true);
    answer(server.peer);
    server.peer.exchange();
    CHECK(server.stream.open());
    REQUIRE(proxy.failures.size() == 1);
    return proxy.failures[0].second;
  };
  for (const std::string content : {"", "x", "xyz"})
    CHECK(failed([&](H2Peer& peer) { peer.content(1, content, true); }) == "an answer that is not HTTP");
  for (const uint32_t error : {NGHTTP2_PROTOCOL_ERROR, NGHTTP2_CANCEL, NGHTTP2_NO_ERROR})
    CHECK(failed([&](H2Peer& peer) { peer.reset(1, error); }) != "an answer that is not HTTP");
}

TEST_CASE("HTTP/2 on both sides carries a call with its trailers") {
  Proxy proxy(speaking_http2());
  FakeStream& stream = proxy.client();
  H2Peer client(stream);
  const int32_t id = client.ask({{":method", "POST"},
                                 {":scheme", "http"},
                                 {":authority", "a"},
                                 {":path", "/shop.Cart/Add"},
                                 {"content-type", "application/grpc"},
                                 {"te", "trailers"}},
                                true);
  client.exchange();
  Server server(proxy);
  CHECK(server[1].field("content-type") == "application/grpc");
  server.peer.answer(1, {{":status", "200"}, {"content-type", "application/grpc"}}, true);
  for (int i = 0; i < 3; ++i) {
    client.content(id, "ask");
    client.exchange();
    CHECK(server[1].content.ends_with("ask"));
    server.peer.content(1, "say");
    server.peer.exchange();
    client.exchange();
  }
  CHECK(client[id].content == "saysaysay");
  client.content(id, "", true);
  client.exchange();
  server.peer.trailers(1, {{"grpc-status", "0"}});
  server.peer.exchange();
  client.exchange();
  CHECK(client[id].trailers == Headers{{"grpc-status", "0"}});
  CHECK(client[id].closed == NGHTTP2_NO_ERROR);
}

TEST_CASE("content over HTTP/2 that comes with its end in one read reaches an HTTP/2 backend with that") {
  Proxy proxy(speaking_http2());
  FakeStream& stream = proxy.client();
  H2Peer client(stream);
  const int32_t id =
      client.ask({{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}}, true);
  client.exchange();
  Server server(proxy);
  CHECK_FALSE(server[1].ended);
  stream.sends(frame(0, 0, static_cast<uint32_t>(id), "hel") + frame(0, 1, static_cast<uint32_t>(id), "lo"));
  CHECK(server[1].content == "hello");
  CHECK(server[1].ended);
}

TEST_CASE("a backend that cannot be connected to fails all that waited for it") {
  Proxy proxy(speaking_http2());
  std::vector<FakeStream*> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(&proxy.client());
    clients.back()->sends(kGet);
  }
  REQUIRE(proxy.net.dials() == 1);
  proxy.dialed(0).refuse();
  for (FakeStream* client : clients) CHECK(client->received.starts_with("HTTP/1.1 503 "));
}

}  // namespace limpet::proxy::h2_backend_test
