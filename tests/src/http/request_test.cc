// Requests that are taken, those that are refused, and with what.
#include "src/http/framing.h"
#include "tests/src/http/messages.h"

namespace limpet::http::request_test {

using namespace limpet::test;

constexpr std::string_view kChunks = "5\r\nhello\r\n0\r\n\r\n";

std::string get(Lines fields) { return message("GET / HTTP/1.1", fields); }
std::string post(std::string_view field, std::string_view body = "hello") {
  return message("POST / HTTP/1.1", {"Host: a", field}, body);
}

struct Row {
  std::string request;
  int status;
};
void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CAPTURE(row.request);
    CHECK(refusal(row.request) == row.status);
  }
}

TEST_CASE("a request line has three parts with one space between, and nothing more") {
  const auto line = [](std::string_view text) { return message(text, {"Host: a"}); };
  check({{line("GET / HTTP/1.1"), 0},
         {line("GET /"), 400},
         {line("GET / "), 400},
         {line(" GET / HTTP/1.1"), 400},
         {line("GET  / HTTP/1.1"), 400},
         {line("GET /  HTTP/1.1"), 400},
         {line("GET / HTTP/1.1 "), 400},
         {line("GET /\tHTTP/1.1"), 400},
         {line("GET /a b HTTP/1.1"), 400},
         {line("G(T / HTTP/1.1"), 400},
         {line("/ HTTP/1.1"), 400}});
}

TEST_CASE("only HTTP/1.1 and HTTP/1.0 are spoken") {
  const auto version = [](std::string_view text) {
    return message("GET / " + std::string(text), {"Host: a"});
  };
  check({{version("HTTP/1.0"), 0},
         {version("HTTP/1.2"), 505},
         {version("HTTP/2.0"), 505},
         {version("HTTP/0.9"), 505},
         {version("HTTP/1.10"), 400},
         {version("HTTP/1"), 400},
         {version("http/1.1"), 400},
         {version("RTSP/1.0"), 400},
         {message("PRI * HTTP/2.0", {}), 505}});
}

TEST_CASE("a method is any token, and case-sensitive (RFC 9110, 9.1)") {
  for (const std::string_view method :
       {"PROPFIND", "QUERY", "VERSION-CONTROL", "BREW", "get", "M-SEARCH", "x", "1", "!#$%&'*+-.^_`|~"}) {
    CAPTURE(method);
    const std::string text = message(std::string(method) + " /p HTTP/1.1", {"Host: a"});
    const Read read(text);
    CHECK(read.fault.status == 0);
    CHECK(read.request.method == method);
    CHECK(read.request.target == "/p");
    CHECK_FALSE((method == "get" && read.request.idempotent()));
  }
  for (const std::string_view method :
       {"G(T", "GE\"T", "G,T", "G:T", "G/T", "G\\T", "G\tT", "\xc3\xa4", "G\x7fT"}) {
    CAPTURE(method);
    CHECK(refusal(message(std::string(method) + " / HTTP/1.1", {"Host: a"})) == 400);
  }
  CHECK_FALSE(Read(message("head / HTTP/1.1", {"Host: a"})).request.is_head());
}

TEST_CASE("a target has no octet beyond visible ASCII (RFC 3986, 2)") {
  for (const std::string_view target : {"/\xc3\xa4", "/\x7f", "/\x01", "/\t"})
    CHECK(refusal(message("GET " + std::string(target) + " HTTP/1.1", {"Host: a"})) == 400);
  CHECK(refusal(message("GET /\"<>[]\\^`{|}~ HTTP/1.1", {"Host: a"})) == 0);
}

TEST_CASE("every line of a head ends in CR LF and holds no other CR, LF or NUL") {
  using namespace std::string_literals;
  check({{"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
         {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
         {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
         {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
         {get({"Host: a", "X: y\rz"}), 400},
         {get({"Host: a", "X\r: y"}), 400},
         {get({"Host: a", "X: y\r"}), 400},
         {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400},
         {"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"s, 400},
         {"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, 400}});
}

TEST_CASE("a field line is a name, a colon at once, and a value without control characters") {
  check({{get({"Host: a", "X:"}), 0},
         {get({"Host: a", "X: \t y \t"}), 0},
         {get({"Host: a", "!#$%&'*+-.^_`|~1: y"}), 0},
         {get({"Host: a", "X: \xc3\xa4\xff"}), 0},
         {get({"Host: a", "X : y"}), 400},
         {get({"Host: a", "X\t: y"}), 400},
         {get({"Host: a", " X: y"}), 400},
         {get({" Host: a"}), 400},
         {get({"Host: a", "X: y", " folded"}), 400},
         {get({"Host: a", "X: y", "\tfolded"}), 400},
         {get({"Host: a", "X: y", " "}), 400},
         {get({"Host: a", "X"}), 400},
         {get({"Host: a", ": y"}), 400},
         {get({"Host: a", "X(: y"}), 400},
         {get({"Host: a", "\xc3\xa4: y"}), 400},
         {get({"Host: a", "X: \x01"}), 400},
         {get({"Host: a", "X: \x7f"}), 400}});
}

TEST_CASE("a value is what stands between the white space around it") {
  const Read read(get({"Host: a", "X: \t y z \t", "E:", "B: \t"}));
  REQUIRE(read.request.fields.size() == 4);
  CHECK(read.request.fields.list[1].name == "X");
  CHECK(read.request.fields.list[1].value == "y z");
  CHECK(read.request.fields.list[2].value == "");
  CHECK(read.request.fields.list[3].value == "");
}

TEST_CASE("a length is one decimal number, said once") {
  for (const std::string_view value : {"5", "05", "000000000000000005", " 5 "}) {
    CAPTURE(value);
    const Read read(post("Content-Length: " + std::string(value)));
    CHECK(read.fault.status == 0);
    CHECK(read.request.body.kind == http::BodyKind::length);
    CHECK(read.request.body.length == 5);
    CHECK(read.body == "hello");
    CHECK(read.ended);
  }
  for (const std::string_view value :
       {"+5", "-5", "5,5", "5, 5", "0x5", "5.0", "5 5", "", ",5", "5,", "18446744073709551616",
        "18446744073709551621", "1000000000000000000"}) {
    CAPTURE(value);
    CHECK(refusal(post("Content-Length: " + std::string(value))) == 400);
  }
  CHECK(refusal(message("POST / HTTP/1.1", {"Host: a", "Content-Length: 5", "Content-Length: 5"})) == 400);
  CHECK(refusal(message("POST / HTTP/1.1", {"Host: a", "Content-Length: 0", "content-length: 5"})) == 400);
}

TEST_CASE("chunked is the only transfer coding, said once, alone, and in HTTP/1.1") {
  for (const std::string_view value : {"chunked", "Chunked", "\tchunked", ", chunked"}) {
    CAPTURE(value);
    const Read read(post("Transfer-Encoding: " + std::string(value), kChunks));
    CHECK(read.fault.status == 0);
    CHECK(read.request.body.kind == http::BodyKind::chunked);
    CHECK(read.body == "hello");
    CHECK(read.ended);
  }
  for (const std::string_view value :
       {"", ",", "identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked;q=1",
        "\"chunked\"", "chunked,", "chunked, \"\\", "xchunked", "chunkedx", "chunked chunked"}) {
    CAPTURE(value);
    CHECK(refusal(post("Transfer-Encoding: " + std::string(value), kChunks)) == 400);
  }
  for (const std::string_view length : {"Content-Length: 5", "Content-Length: 0"}) {
    CHECK(refusal(message("POST / HTTP/1.1", {"Host: a", length, "Transfer-Encoding: chunked"})) == 400);
    CHECK(refusal(message("POST / HTTP/1.1", {"Host: a", "Transfer-Encoding: chunked", length})) == 400);
  }
  CHECK(refusal(message("POST / HTTP/1.0", {"Transfer-Encoding: chunked"})) == 400);
  CHECK(refusal(message("POST / HTTP/1.1",
                        {"Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: ,"})) == 400);
}

TEST_CASE("a request without a length has no body, whatever its method") {
  for (const std::string_view method : {"GET", "POST", "OPTIONS"}) {
    const Read read(message(std::string(method) + " / HTTP/1.1", {"Host: a"}, "GET /next HTTP/1.1\r\n"));
    CHECK(read.request.body.kind == http::BodyKind::none);
    CHECK(read.ended);
    CHECK(read.size == read.head.size());
  }
}

TEST_CASE("a connection goes on as the version has it, unless Connection says otherwise") {
  const auto goes_on = [](std::string_view version, std::string_view connection) {
    const Read read(
        message("GET / " + std::string(version), {"Host: a", "Connection: " + std::string(connection)}));
    return read.request.keep_alive;
  };
  CHECK(goes_on("HTTP/1.1", "x"));
  CHECK(goes_on("HTTP/1.0", "Keep-Alive"));
  CHECK(goes_on("HTTP/1.0", "x , KEEP-ALIVE"));
  CHECK_FALSE(goes_on("HTTP/1.0", "x"));
  CHECK_FALSE(goes_on("HTTP/1.1", "x,CLOSE"));
  CHECK_FALSE(goes_on("HTTP/1.1", "keep-alive, close"));
  CHECK_FALSE(goes_on("HTTP/1.0", "close, keep-alive"));
}

TEST_CASE(
    "protocols are offered, in HTTP/1.1, when Connection says so as well, and never h2c (RFC 9110, 7.8)") {
  const auto offered = [](std::string_view version, Lines fields) {
    const Read read(message("GET / " + std::string(version), fields));
    std::string all;
    http::for_each_offer(read.request.fields, [&](std::string_view protocol) {
      all.append(all.empty() ? "" : " ").append(protocol);
    });
    CHECK((!read.request.upgrades || !all.empty()));
    return read.request.upgrades ? all : "";
  };
  CHECK(offered("HTTP/1.1", {"Host: a", "Connection: Upgrade", "Upgrade: websocket"}) == "websocket");
  CHECK(offered("HTTP/1.1", {"Host: a", "Connection: x, upgrade", "Upgrade: , tls/1.0"}) == "tls/1.0");
  CHECK(offered("HTTP/1.1", {"Host: a", "Upgrade: websocket"}) == "");
  CHECK(offered("HTTP/1.1", {"Host: a", "Connection: upgrade"}) == "");
  CHECK(offered("HTTP/1.0", {"Connection: upgrade", "Upgrade: websocket"}) == "");
  CHECK(offered("HTTP/1.1", {"Host: a", "Connection: upgrade", "Upgrade: H2C"}) == "");
  CHECK(offered("HTTP/1.1", {"Host: a", "Connection: upgrade", "Upgrade: websocket, h2c"}) == "websocket");
  CHECK(offered("HTTP/1.1", {"Host: a", "Connection: upgrade", "Upgrade: websocket", "Upgrade: tls/1.0"}) ==
        "websocket tls/1.0");
  for (const std::string_view upgrade :
       {"h2c/1", "H2C/x", "h2c/", "\"h2c\"", "\"a, h2c\"", "a b", "a;h2c", "x/", "/h2c", "a/h2c/1", ","}) {
    CAPTURE(upgrade);
    CHECK(offered("HTTP/1.1", {"Host: a", "Connection: upgrade", "Upgrade: " + std::string(upgrade)}) == "");
  }
}

TEST_CASE("an offer of another protocol does not change how a body is delimited") {
  const Read read(message("POST / HTTP/1.1",
                          {"Host: a", "Connection: upgrade", "Upgrade: x", "Content-Length: 5"}, "helloGET"));
  CHECK(read.body == "hello");
  CHECK(read.ended);
  CHECK(read.size == read.head.size() + 5);
}

TEST_CASE("nothing but 100-continue can be expected") {
  CHECK(refusal(post("Expect: 100-Continue")) == 0);
  CHECK(refusal(post("Expect: miracles")) == 417);
  CHECK(refusal(message("POST / HTTP/1.1", {"Host: a", "Expect: 100-continue", "Expect: more"})) == 417);
  CHECK(refusal(message("POST / HTTP/1.1", {"Host: a", "Connection: expect", "Expect: miracles"})) == 417);
}

TEST_CASE("a limit holds to the byte, wherever the message is cut") {
  const auto padded = [](size_t target, size_t head, size_t fields) {
    Lines none{};
    std::string text = message("GET /" + std::string(target - 1, 'x') + " HTTP/1.1", none);
    text.erase(text.size() - 2);
    text += "Host: a\r\n";
    for (size_t i = 2; i < fields; ++i) text += "X:\r\n";
    text += "Y:";
    if (head > text.size() + 4) text.append(head - text.size() - 4, 'y');
    return text + "\r\n\r\n";
  };
  CHECK(refusal(padded(100, 0, 2), kTightLimits) == 0);
  CHECK(refusal(padded(101, 0, 2), kTightLimits) == 414);
  CHECK(refusal(padded(10, 600, 2), kTightLimits) == 0);
  CHECK(refusal(padded(10, 10'000, 2), kTightLimits) == 431);
  CHECK(refusal(padded(10, 0, 12), kTightLimits) == 0);
  CHECK(refusal(padded(10, 0, 13), kTightLimits) == 431);
  // Without an end a line counts as far as it has come.
  CHECK(refusal("GET /" + std::string(10'000, 'x'), kTightLimits) == 414);
  CHECK(refusal("GET / HTTP/1.1\r\nX: " + std::string(10'000, 'x'), kTightLimits) == 431);
  CHECK(refusal(std::string(10'000, 'x'), kTightLimits) == 414);
}

TEST_CASE("what may be asked again without harm is known by its method") {
  for (const std::string_view method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"})
    CHECK(Read(message(std::string(method) + " / HTTP/1.1", {"Host: a"})).request.idempotent());
  for (const std::string_view method : {"POST", "PATCH", "LOCK", "BREW", "Query"})
    CHECK_FALSE(Read(message(std::string(method) + " / HTTP/1.1", {"Host: a"})).request.idempotent());
}

}  // namespace limpet::http::request_test
