// Responses of backends: where they end, and which are refused.
#include "tests/src/http/messages.h"

namespace limpet::http::response_test {

using namespace limpet::test;
using http::BodyKind;

constexpr std::string_view kOk = "HTTP/1.1 200 OK";
constexpr std::string_view kChunks = "5\r\nhello\r\n0\r\n\r\n";

bool refused(std::string_view first, Lines fields, std::string_view body = {},
             MessageSide side = MessageSide::response) {
  const Read read(message(first, fields, body), side);
  CHECK((read.fault.status == 0 || read.fault.status == 502));
  return static_cast<bool>(read.fault);
}

TEST_CASE("a status line is a version, a space, three digits, and any reason or none") {
  for (const std::string_view line : {"HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 200", "HTTP/1.1 200 ",
                                      "HTTP/1.1 200 \xc3\xa4 b", "HTTP/1.1 999 x"})
    CHECK_FALSE(refused(line, {"Content-Length: 0"}));
  for (const std::string_view line :
       {"HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.1 20x OK", "HTTP/1.1 099 OK",
        "HTTP/1.1 000 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 200OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK",
        " HTTP/1.1 200 OK", "http/1.1 200 OK", "HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/2 200 OK",
        "ICY 200 OK", "GET / HTTP/1.1", ""}) {
    CAPTURE(line);
    CHECK(refused(line, {"Content-Length: 0"}));
  }
}

TEST_CASE("a reason is kept as it came") {
  CHECK(Read(message("HTTP/1.1 404 No such  thing ", {"Content-Length: 0"}), MessageSide::response)
            .response.reason == "No such  thing ");
  CHECK(Read(message("HTTP/1.1 404", {"Content-Length: 0"}), MessageSide::response).response.reason == "");
  CHECK(Read(message("HTTP/1.1 404 ", {"Content-Length: 0"}), MessageSide::response).response.reason == "");
}

TEST_CASE("a body is as long as the head says, and to the connection's end when it says nothing") {
  struct {
    std::string_view field, bytes;
    BodyKind kind;
    bool keep_alive;
  } const rows[] = {
      {"Content-Length: 5", "helloHTTP/1.1", BodyKind::length, true},
      {"Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\nHTTP/1.1", BodyKind::chunked, true},
      {"Transfer-Encoding: chunked\t", "5\r\nhello\r\n0\r\n\r\nHTTP/1.1", BodyKind::chunked, true},
      {"X: y", "hello", BodyKind::until_close, false}};
  for (const auto& row : rows) {
    CAPTURE(row.field);
    const Read read(message(kOk, {row.field}, row.bytes), MessageSide::response);
    CHECK(read.fault.status == 0);
    CHECK(read.response.body.kind == row.kind);
    CHECK(read.response.keep_alive == row.keep_alive);
    CHECK(read.body == "hello");
    CHECK(read.ended);
  }
}

TEST_CASE("a body that the connection's end cuts short has no end") {
  CHECK_FALSE(Read(message(kOk, {"Content-Length: 6"}, "hello"), MessageSide::response).ended);
  for (size_t cut = 0; cut < kChunks.size(); ++cut) {
    CAPTURE(cut);
    CHECK_FALSE(
        Read(message(kOk, {"Transfer-Encoding: chunked"}, kChunks.substr(0, cut)), MessageSide::response)
            .ended);
  }
}

TEST_CASE("no body follows an answer to HEAD, an interim one, 204 or 304, whatever the fields say") {
  struct {
    std::string_view line;
    MessageSide side;
  } const rows[] = {{kOk, MessageSide::response_to_head},
                    {"HTTP/1.1 404 Not Found", MessageSide::response_to_head},
                    {"HTTP/1.1 100 Continue", MessageSide::response},
                    {"HTTP/1.1 101 Switching Protocols", MessageSide::response},
                    {"HTTP/1.1 103 Early Hints", MessageSide::response},
                    {"HTTP/1.1 204 No Content", MessageSide::response},
                    {"HTTP/1.1 304 Not Modified", MessageSide::response}};
  for (const auto& row : rows) {
    for (const std::string_view field : {"Content-Length: 5", "Transfer-Encoding: chunked", "X: y"}) {
      CAPTURE(row.line);
      CAPTURE(field);
      const Read read(message(row.line, {field}, kChunks), row.side);
      CHECK(read.fault.status == 0);
      CHECK(read.response.body.kind == BodyKind::none);
      CHECK(read.ended);
      CHECK(read.body == "");
      CHECK(read.size == read.head.size());
      // A 204 that announces a body may bring it all the same.
      const bool announces = row.line.find("204") != std::string_view::npos && field != "X: y";
      CHECK(read.response.keep_alive == !announces);
    }
  }
}

TEST_CASE(
    "where no body may follow fields that contradict each other change nothing (RFC 9112, 6.3, rule 1)") {
  struct {
    std::string_view line;
    MessageSide side;
  } const rows[] = {{kOk, MessageSide::response_to_head},
                    {"HTTP/1.1 204 No Content", MessageSide::response},
                    {"HTTP/1.1 304 Not Modified", MessageSide::response},
                    {"HTTP/1.1 103 Early Hints", MessageSide::response}};
  for (const auto& row : rows) {
    for (const Lines& fields :
         std::initializer_list<Lines>{{"Content-Length: 5", "Content-Length: 6"},
                                      {"Content-Length: 5", "Content-Length: 5"},
                                      {"Content-Length: 5, 5"},
                                      {"Content-Length: x"},
                                      {"Content-Length: 5", "Transfer-Encoding: chunked"},
                                      {"Transfer-Encoding: chunked", "Content-Length: 5"},
                                      {"Transfer-Encoding: gzip"},
                                      {"Transfer-Encoding: chunked, chunked"},
                                      {"Transfer-Encoding:"}}) {
      const std::string text = message(row.line, fields, kChunks);
      CAPTURE(text);
      const Read read(text, row.side);
      CHECK(read.fault.status == 0);
      CHECK(read.response.body.kind == BodyKind::none);
      CHECK(read.ended);
      CHECK(read.size == read.head.size());
      CHECK_FALSE(read.response.keep_alive);  // nobody knows what it sends behind them
      net::Gather out;
      http::write_response(read.response, {.via = "limpet", .date = "today"}, out);
      const std::string written = text_of(out);
      CHECK(written.find("Content-Length") == std::string::npos);
      CHECK(written.find("Transfer-Encoding") == std::string::npos);
    }
  }
  const Read one(message(kOk, {"Content-Length: 5"}), MessageSide::response_to_head);
  net::Gather out;
  http::write_response(one.response, {.via = "limpet", .date = "today"}, out);
  CHECK(text_of(out).find("\r\nContent-Length: 5\r\n") != std::string::npos);
}

TEST_CASE("101 is a final answer, the others below 200 are not") {
  const auto interim = [](std::string_view line) {
    return Read(message(line, {}), MessageSide::response).response.interim();
  };
  CHECK(interim("HTTP/1.1 100 Continue"));
  CHECK(interim("HTTP/1.1 103 Early Hints"));
  CHECK_FALSE(interim("HTTP/1.1 101 Switching Protocols"));
  CHECK_FALSE(interim("HTTP/1.1 204 No Content"));
}

TEST_CASE("a length that could be understood in two ways is refused") {
  for (const std::string_view field :
       {"Content-Length: +5", "Content-Length: 5, 5", "Content-Length:",
        "Content-Length: 18446744073709551621", "Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked", "Transfer-Encoding:", "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunked, \"\\", "Transfer-Encoding: chunked;x"}) {
    CAPTURE(field);
    CHECK(refused(kOk, {field}, kChunks));
  }
  CHECK(refused(kOk, {"Content-Length: 5", "Content-Length: 5"}, "hello"));
  CHECK(refused(kOk, {"Content-Length: 15", "Transfer-Encoding: chunked"}, kChunks));
  CHECK(refused(kOk, {"Transfer-Encoding: chunked", "Content-Length: 15"}, kChunks));
  CHECK(refused("HTTP/1.0 200 OK", {"Transfer-Encoding: chunked"}, kChunks));
}

TEST_CASE("a backend's connection is kept as the version has it, unless Connection says otherwise") {
  const auto kept = [](std::string_view line, std::string_view connection) {
    return Read(message(line, {"Content-Length: 0", connection}), MessageSide::response).response.keep_alive;
  };
  CHECK(kept(kOk, "X: y"));
  CHECK_FALSE(kept(kOk, "Connection: close"));
  CHECK_FALSE(kept("HTTP/1.0 200 OK", "X: y"));
  CHECK(kept("HTTP/1.0 200 OK", "Connection: keep-alive"));
}

TEST_CASE("one parser reads message after message, and a refused one leaves nothing behind") {
  http::Parser parser;
  http::ResponseHead head;
  Understood sink;
  const std::string chunked = message(kOk, {"Transfer-Encoding: chunked"});
  const std::string broken = message(kOk, {"Content-Length: x"});
  const std::string plain = message(kOk, {"Content-Length: 2", "X: y"});
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(parser.parse_response(chunked, kWideLimits, false, head));
    parser.feed("5\r\nhe", sink, sink.fault);  // given up half-way
    CHECK(parser.parse_response(broken, kWideLimits, false, head));
    CHECK_FALSE(parser.parse_response(plain, kWideLimits, false, head));
    CHECK(head.fields.size() == 2);
    CHECK(head.body.length == 2);
    sink.body.clear();
    CHECK(parser.feed("okHTTP", sink, sink.fault) == 2);
    CHECK(sink.body == "ok");
    CHECK(parser.body_ended());
    CHECK(sink.fault.status == 0);
  }
}

}  // namespace limpet::http::response_test
