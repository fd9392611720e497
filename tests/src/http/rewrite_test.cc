// Heads as they leave: what is taken out, what is put in, and that the rest stays as it was.
#include "src/http/rewrite.h"

#include <algorithm>

#include "tests/src/http/messages.h"

namespace limpet::http::rewrite_test {

using namespace limpet::test;

constexpr std::string_view kGet = "GET / HTTP/1.1";
constexpr std::string_view kOk = "HTTP/1.1 200 OK";
constexpr std::string_view kVia = "Via: 1.1 limpet\r\n\r\n";

// What is sent on for a request whose peer is told to nobody.
std::string sent(std::string_view line, Lines fields, std::string_view hidden_cookie = {},
                 std::string_view request_id = {}, std::string_view traceparent = {}) {
  const Read read(message(line, fields));
  REQUIRE(read.fault.status == 0);
  conf::Listener listener;
  listener.forwarded = conf::ForwardedStyle::none;
  const http::Peer peer{conf::IpAddress::parse("192.0.2.1").value(), "192.0.2.1", true};
  net::Gather out;
  http::write_request(read.request,
                      {.via = "limpet",
                       .request_id = request_id,
                       .traceparent = traceparent,
                       .hidden_cookie = hidden_cookie,
                       .backend = "b.example:8080",
                       .peer = peer,
                       .listener = listener},
                      out);
  return text_of(out);
}

// The field lines between Host and Via, when nothing else is added.
std::string kept(Lines fields, std::string_view hidden_cookie = {}) {
  std::string text = sent(kGet, fields, hidden_cookie);
  const std::string_view begin = "GET / HTTP/1.1\r\nHost: a\r\n";
  REQUIRE(text.starts_with(begin));
  REQUIRE(text.ends_with(kVia));
  return text.substr(begin.size(), text.size() - begin.size() - kVia.size());
}

std::string answered(std::string_view line, Lines fields,
                     const http::ResponseEdits& edits = {.via = "limpet", .date = "today"}) {
  const Read read(message(line, fields), MessageSide::response);
  REQUIRE(read.fault.status == 0);
  net::Gather out;
  http::write_response(read.response, edits, out);
  return text_of(out);
}

std::string cache_control(Lines fields) {
  const std::string text = answered(kOk, fields, {.via = "limpet", .date = "today", .set_cookie = "c=1"});
  constexpr std::string_view kName = "\r\nCache-Control: ";
  const size_t at = text.find(kName);
  REQUIRE(at != std::string::npos);
  CHECK(text.find(kName, at + 1) == std::string::npos);
  return text.substr(at + kName.size(), text.find('\r', at + 2) - at - kName.size());
}

TEST_CASE("end-to-end fields leave as they came, in order") {
  CHECK(kept({"Host: a", "x-a:1", "X-B:  two \t", "X-A: 3", "Accept:", "Via: 1.0 before", "Trailer: X"}) ==
        "x-a:1\r\nX-B:  two \t\r\nX-A: 3\r\nAccept:\r\nVia: 1.0 before\r\nTrailer: X\r\n");
}

TEST_CASE("a trace passes as it came, or begins anew and takes the place of what was said of it") {
  const Lines said{"Host: a", "Traceparent: 00-bad", "X-A: 1", "TraceState: a=1", "tracestate: b=2"};
  CHECK(kept(said) == "Traceparent: 00-bad\r\nX-A: 1\r\nTraceState: a=1\r\ntracestate: b=2\r\n");
  CHECK(sent(kGet, said, {}, {}, "00-good") ==
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\ntraceparent: 00-good\r\n" + std::string(kVia));
}

TEST_CASE("fields for one connection stay behind, wherever they stand") {
  const Lines hop{"Connection: close, X-Named,x-other",
                  "Host: a",
                  "Keep-Alive: 5",
                  "X-Named: 1",
                  "Proxy-Connection: x",
                  "TE: gzip",
                  "Upgrade: h2c",
                  "HTTP2-Settings: x",
                  "X-Kept: 1",
                  "X-OTHER: 1",
                  "x-named: 2"};
  CHECK(kept(hop) == "X-Kept: 1\r\n");
  CHECK(kept({"Host: a", "Connection: x-last", "X-Last: 1"}) == "");
  CHECK(kept({"Host: a", "Connection: x-a", "X-A: 1", "X-B: 2", "Connection: x-b", "X-C: 3"}) ==
        "X-C: 3\r\n");
}

TEST_CASE("Connection names nothing away that routes or frames") {
  const std::string text =
      sent("POST / HTTP/1.1", {"Host: a", "Connection: host, content-length", "Content-Length: 5"});
  CHECK(text == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" + std::string(kVia));
  const std::string chunked =
      sent("POST / HTTP/1.1", {"Host: a", "Connection: transfer-encoding", "transfer-encoding: Chunked"});
  CHECK(chunked == "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + std::string(kVia));
}

TEST_CASE("trailers are accepted on behalf of a client that accepts them") {
  const std::string_view accepts = "Connection: TE\r\nTE: trailers\r\n";
  CHECK(kept({"Host: a", "TE: trailers"}) == accepts);
  CHECK(kept({"Host: a", "Connection: TE", "TE: deflate;q=0.5, Trailers"}) == accepts);
  CHECK(kept({"Host: a", "TE: deflate"}) == "");
}

TEST_CASE("what Limpet acts on is not Connection's to remove (RFC 9110, 7.6.1)") {
  CHECK(kept({"Host: a",
              "Connection: expect, via, host, max-forwards, forwarded, x-forwarded-for, x-real-ip, x",
              "Expect: 100-continue", "Via: 1.0 b", "Max-Forwards: 1", "Forwarded: for=_b",
              "X-Forwarded-For: 1", "X-Real-IP: 2", "X: 3"}) ==
        "Expect: 100-continue\r\nVia: 1.0 b\r\nMax-Forwards: 1\r\nForwarded: for=_b\r\nX-Forwarded-For: "
        "1\r\nX-Real-IP: 2\r\n");
}

TEST_CASE(
    "names that pass for ours where `_` is read as `-` are dropped, unless the peer is trusted or the "
    "listener says "
    "so (RFC 3875, 4.1.18)") {
  const auto passed = [](bool trusted, conf::Underscores underscores) {
    const Read read(message(
        kGet,
        {"Host: a", "X_Forwarded_For: 1", "x-real_ip: 2", "TRANSFER_ENCODING: chunked", "Content_length: 5",
         "X_Request_ID: 6", "X_Forwarded_By_Somebody_With_A_Long_Name: 7", "My_Own: 8", "X_Forwarded: 9"}));
    conf::Listener listener;
    listener.forwarded = conf::ForwardedStyle::none;
    listener.underscores = underscores;
    const http::Peer peer{conf::IpAddress::parse("192.0.2.1").value(), "192.0.2.1", trusted};
    net::Gather out;
    http::write_request(
        read.request,
        {.via = "limpet", .request_id = {}, .hidden_cookie = {}, .peer = peer, .listener = listener}, out);
    const std::string text = text_of(out);
    return std::count(text.begin(), text.end(), '_');
  };
  CHECK(passed(false, conf::Underscores::drop) == 2);
  CHECK(passed(true, conf::Underscores::drop) == 16);
  CHECK(passed(false, conf::Underscores::pass) == 16);
}

TEST_CASE("an offered protocol is offered further") {
  CHECK(kept({"Host: a", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "TE: trailers"}) ==
        "Connection: upgrade\r\nUpgrade: websocket\r\n");
  CHECK(kept({"Host: a", "Upgrade: websocket"}) == "");
  CHECK(kept({"Host: a", "Connection: Upgrade", "Upgrade: websocket, h2c", "X: 1", "Upgrade: ,tls/1.0"}) ==
        "X: 1\r\nConnection: upgrade\r\nUpgrade: websocket, tls/1.0\r\n");
}

TEST_CASE("a request leaves in origin form and HTTP/1.1, with one Host and the version it came in") {
  CHECK(sent("GET http://b?q HTTP/1.1", {"X: 1", "Host: a"}) ==
        "GET /?q HTTP/1.1\r\nHost: b\r\nX: 1\r\n" + std::string(kVia));
  CHECK(sent("OPTIONS http://b HTTP/1.1", {"Host: a"}) ==
        "OPTIONS * HTTP/1.1\r\nHost: b\r\n" + std::string(kVia));
  CHECK(sent("GET /x HTTP/1.0", {}) == "GET /x HTTP/1.1\r\nHost: b.example:8080\r\nVia: 1.0 limpet\r\n\r\n");
  CHECK(sent(kGet, {"Host:"}) == "GET / HTTP/1.1\r\nHost:\r\n" + std::string(kVia));
}

TEST_CASE("the pool's own cookie is hidden, and no other one touched") {
  const auto cookies = [](std::string_view value) {
    return kept({"Host: a", "cookie: " + std::string(value)}, "pool");
  };
  CHECK(cookies("a=1;b=2") == "cookie: a=1;b=2\r\n");
  CHECK(cookies("a=1; pool=x; b=2") == "Cookie: a=1; b=2\r\n");
  CHECK(cookies("pool=x;a=1") == "Cookie: a=1\r\n");
  CHECK(cookies("pool=x; pool=y") == "");
  CHECK(cookies("pool") == "");
  CHECK(cookies(" pool =x ; a=pool=1") == "Cookie: a=pool=1\r\n");
  CHECK(cookies("Pool=x; pool2=y; xpool=z; a=pool") == "Cookie: Pool=x; pool2=y; xpool=z; a=pool\r\n");
  CHECK(cookies("a=\"1;pool=x\"; b=2") ==
        "Cookie: a=\"1; b=2\r\n");  // RFC 6265, section 5.4: quotes do not hold a semicolon
  CHECK(kept({"Host: a", "Cookie: a=1", "Cookie: pool=x", "Cookie: b=2; pool=y"}, "pool") ==
        "Cookie: a=1\r\nCookie: b=2\r\n");
  CHECK(kept({"Host: a", "Cookie: pool=x"}) == "Cookie: pool=x\r\n");
}

TEST_CASE("an id of our own takes the place of those that came") {
  CHECK(sent(kGet, {"Host: a", "X-Request-Id: theirs"}, {}, "ours") ==
        "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: ours\r\n" + std::string(kVia));
  CHECK(kept({"Host: a", "X-Request-Id: theirs"}) == "X-Request-Id: theirs\r\n");
}

TEST_CASE("Max-Forwards counts down for OPTIONS and TRACE alone") {
  const auto left = [](std::string_view line, std::string_view value) {
    const std::string text = sent(line, {"Host: a", "Max-Forwards: " + std::string(value)});
    const size_t at = text.find("Max-Forwards: ");
    return at == std::string::npos ? "none" : text.substr(at + 14, text.find('\r', at) - at - 14);
  };
  CHECK(left("OPTIONS / HTTP/1.1", "10") == "9");
  CHECK(left("TRACE / HTTP/1.1", "1") == "0");
  CHECK(left("TRACE / HTTP/1.1", "0") == "0");
  CHECK(left("OPTIONS / HTTP/1.1", "99999999999999999999999") ==
        "18446744073709551614");  // the most that we count
  CHECK(left(kGet, "10") == "10");
}

TEST_CASE("an answer loses what was for one connection and gains Via and a date") {
  CHECK(answered("HTTP/1.0 200 Fine", {"Connection: keep-alive, x-named", "Content-Length: 0", "X-Named: 1",
                                       "Keep-Alive: 5", "Date: then"}) ==
        "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nDate: then\r\nVia: 1.0 limpet\r\n\r\n");
  CHECK(answered(kOk, {"Content-Length: 0"}) ==
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: today\r\n" + std::string(kVia));
  CHECK(answered(kOk, {"Connection: date", "Date: then", "Content-Length: 0"}) ==
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: today\r\n" + std::string(kVia));
  CHECK(answered("HTTP/1.1 404", {"Content-Length: 0", "Date: then"}).starts_with("HTTP/1.1 404 \r\n"));
}

TEST_CASE("an answer says how it is framed towards this client, and how the connection goes on") {
  const Lines chunked{"Transfer-Encoding: chunked", "Date: then"};
  CHECK(answered(kOk, chunked, {.via = "limpet", .chunked = true}) ==
        "HTTP/1.1 200 OK\r\nDate: then\r\nTransfer-Encoding: chunked\r\n" + std::string(kVia));
  CHECK(answered(kOk, chunked, {.via = "limpet", .close = true}) ==
        "HTTP/1.1 200 OK\r\nDate: then\r\nConnection: close\r\n" + std::string(kVia));
  CHECK(answered(kOk, {"Content-Length: 0", "Date: then"}, {.via = "limpet", .keep_alive = true}) ==
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: then\r\nConnection: keep-alive\r\n" +
            std::string(kVia));
}

TEST_CASE("an interim answer and 204 announce no body; 304 says what a body would have been") {
  CHECK(answered("HTTP/1.1 103 Hints", {"Content-Length: 5", "Link: x"}) ==
        "HTTP/1.1 103 Hints\r\nLink: x\r\n" + std::string(kVia));
  CHECK(answered("HTTP/1.1 204 None", {"Content-Length: 0", "Date: then"}) ==
        "HTTP/1.1 204 None\r\nDate: then\r\n" + std::string(kVia));
  CHECK(answered("HTTP/1.1 304 Same", {"Content-Length: 5", "Date: then"}) ==
        "HTTP/1.1 304 Same\r\nContent-Length: 5\r\nDate: then\r\n" + std::string(kVia));
}

TEST_CASE("a change of protocol says which") {
  CHECK(answered("HTTP/1.1 101 Switching", {"Connection: x, upgrade", "Upgrade: websocket", "Y: 1"}) ==
        "HTTP/1.1 101 Switching\r\nY: 1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" +
            std::string(kVia));
}

TEST_CASE("an answer that sets our cookie is for no shared cache") {
  CHECK(cache_control({"Content-Length: 0"}) == "private");
  CHECK(cache_control({"Cache-Control: max-age=5"}) == "max-age=5, private");
  CHECK(cache_control({"Cache-Control: public, s-maxage=5,max-age=9"}) == "max-age=9, private");
  CHECK(cache_control({"Cache-Control: Public"}) == "private");
  CHECK(cache_control({"Cache-Control: no-cache", "cache-control: S-MaxAge=5"}) == "no-cache, private");
  CHECK(cache_control({"Cache-Control: max-age=5, Private"}) == "max-age=5, Private");
  CHECK(cache_control({"Cache-Control: no-store"}) == "no-store");
  CHECK(cache_control({"Cache-Control: private=\"x, public\""}) == "private=\"x, public\", private");
  CHECK(cache_control({"Cache-Control: ,, "}) == "private");
}

TEST_CASE("our cookie comes beside those of the application") {
  const std::string text = answered(kOk, {"Set-Cookie: app=1", "Content-Length: 0", "Date: then"},
                                    {.via = "limpet", .set_cookie = "pool=x; Path=/"});
  CHECK(text ==
        "HTTP/1.1 200 OK\r\nSet-Cookie: app=1\r\nContent-Length: 0\r\nDate: then\r\nCache-Control: "
        "private\r\nSet-Cookie: pool=x; Path=/\r\n" +
            std::string(kVia));
}

TEST_CASE("trailers pass that frame, route, identify and describe nothing (RFC 9110, 6.5.1)") {
  http::Fields trailers;
  for (const std::string_view name : {"X-Sum",
                                      "Content-Length",
                                      "Transfer-Encoding",
                                      "Host",
                                      "Cookie",
                                      "Set-Cookie",
                                      "Authorization",
                                      "Connection",
                                      "Forwarded",
                                      "X-Forwarded-For",
                                      "X-Forwarded-Port",
                                      "Cache-Control",
                                      "Expect",
                                      "Max-Forwards",
                                      "TE",
                                      "Upgrade",
                                      "Server-Timing",
                                      "Content-Type",
                                      "content-encoding",
                                      "Content-Range",
                                      "X-Real-IP",
                                      "X-Request-Id",
                                      "Via",
                                      "Proxy-Authorization",
                                      "If-Match",
                                      "Range",
                                      "Trailer",
                                      "Date",
                                      "Vary",
                                      "Content-Digest",
                                      "X_Real_IP",
                                      "grpc-status"})
    trailers.add(name, "v");
  net::Gather out;
  http::write_trailers(trailers, {}, out);
  CHECK(text_of(out) ==
        "X-Sum: v\r\nServer-Timing: v\r\nContent-Digest: v\r\nX_Real_IP: v\r\ngrpc-status: v\r\n\r\n");
  net::Gather untrusted;
  http::write_trailers(trailers, http::FieldSet(http::FieldName::underscored), untrusted);
  CHECK(text_of(untrusted) == "X-Sum: v\r\nServer-Timing: v\r\nContent-Digest: v\r\ngrpc-status: v\r\n\r\n");
}

TEST_CASE("a request bears its mark in a comment behind the pseudonym") {
  const Read read(message(kGet, {"Host: a", "Via: 1.1 before (who)"}));
  conf::Listener listener;
  listener.forwarded = conf::ForwardedStyle::none;
  const http::Peer peer{conf::IpAddress::parse("192.0.2.1").value(), "192.0.2.1", true};
  net::Gather out;
  http::write_request(read.request,
                      {.via = "limpet",
                       .mark = "0123",
                       .request_id = {},
                       .hidden_cookie = {},
                       .peer = peer,
                       .listener = listener},
                      out);
  CHECK(text_of(out) ==
        "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 before (who)\r\nVia: 1.1 limpet (0123)\r\n\r\n");
}

TEST_CASE("a head that grows as much as it can has room") {
  // A host that is told three times, and cookies that each gain a space.
  const std::string host = "Host: " + std::string(9'000, 'h') + ":80";
  std::string cookies = "Cookie: pool=x";
  for (int i = 0; i < 5'000; ++i) cookies += ";c";
  const Read read(message(kGet, {host, cookies, "X-Forwarded-For: 1", "X-Forwarded-For: 2", "Forwarded: x"}));
  conf::Listener listener;
  listener.forwarded = conf::ForwardedStyle::both;
  const http::Peer peer{conf::IpAddress::parse("192.0.2.1").value(), "192.0.2.1", true};
  net::Gather out;
  http::write_request(
      read.request,
      {.via = "limpet", .request_id = "id", .hidden_cookie = "pool", .peer = peer, .listener = listener},
      out);
  const Read again(text_of(out));
  CHECK(again.fault.status == 0);
  CHECK(again.size == out.size());
  CHECK(again.request.host == read.request.host);
}

}  // namespace limpet::http::rewrite_test
