// Chunked bodies and their trailers, as they come in and as they are written.
#include "src/http/chunk.h"
#include "tests/src/http/messages.h"

namespace limpet::http::chunked_body_test {

using namespace limpet::test;

std::string chunked(std::string_view body) {
  return message("POST / HTTP/1.1", {"Host: a", "Transfer-Encoding: chunked"}, body);
}

TEST_CASE("chunks become the body, and what follows the last is not touched") {
  for (const std::string_view body :
       {"5\r\nhello\r\n0\r\n\r\n", "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", "005\r\nhello\r\n000\r\n\r\n",
        "0000000000000005\r\nhello\r\n0\r\n\r\n"}) {
    CAPTURE(body);
    const Read read(chunked(std::string(body) + "GET /next"));
    CHECK(read.fault.status == 0);
    CHECK(read.body == "hello");
    CHECK(read.ended);
    CHECK(read.size == read.head.size() + body.size());
  }
}

// What may stand between a chunk's size and its line's end, of the last chunk as well.
constexpr std::string_view kExtensions[] = {";a",
                                            ";a=b",
                                            ";a=b;c=d",
                                            ";a;c;e=f",
                                            ";a=\"b c\"",
                                            ";a=\"\"",
                                            ";a=\"d\\\"e\"",
                                            ";a=\"\\\\\";b",
                                            ";a=\"\xff\t\"",
                                            " ;a=b",
                                            "\t;a=b",
                                            "; a = b",
                                            " ; a\t=\t\"b\" ; c",
                                            "  ",
                                            " \t ",
                                            ";a ",
                                            ";a=b\t",
                                            ";a=\"b\" ",
                                            ";!#$%&'*+-.^_`|~1=0"};

TEST_CASE("a chunk may have extensions, and white space where bad senders put it (RFC 9112, 7.1.1)") {
  for (const std::string_view extension : kExtensions) {
    for (const MessageSide side : {MessageSide::request, MessageSide::response}) {
      CAPTURE(extension);
      const std::string chunks =
          "5" + std::string(extension) + "\r\nhello\r\n0" + std::string(extension) + "\r\nX: y\r\n\r\n";
      const Read read(side == MessageSide::request
                          ? chunked(chunks)
                          : message("HTTP/1.1 200 OK", {"Transfer-Encoding: chunked"}, chunks),
                      side);
      CHECK(read.fault.status == 0);
      CHECK(read.body == "hello");
      CHECK(read.trailers == "X=y\n");
      CHECK(read.ended);
    }
  }
}

TEST_CASE("a chunk that could be understood in two ways is refused (RFC 9112, 7.1.1)") {
  using namespace std::string_literals;
  for (const std::string& body : {"\r\n"s,
                                  ";a\r\n"s,
                                  "x\r\n"s,
                                  "+5\r\nhello\r\n"s,
                                  "-5\r\nhello\r\n"s,
                                  "0x5\r\nhello\r\n"s,
                                  " 5\r\nhello\r\n"s,
                                  "5 5\r\nhello\r\n"s,
                                  "5\nhello\r\n"s,
                                  "5\r\rhello\r\n"s,
                                  "5 \nhello\r\n"s,
                                  "5;a\nb\r\nhello\r\n"s,
                                  "5;a\n\r\nhello\r\n"s,
                                  "5;a\rb\r\nhello\r\n"s,
                                  "5;a=\"b\nc\"\r\nhello\r\n"s,
                                  "5;a=\"b\r\nhello\r\n"s,
                                  "5;a=\"b\\\r\n\"\r\nhello\r\n"s,
                                  "5;a=\"b\"c\r\nhello\r\n"s,
                                  "5;a=b\"c\"\r\nhello\r\n"s,
                                  "5;a=\r\nhello\r\n"s,
                                  "5;=b\r\nhello\r\n"s,
                                  "5;\r\nhello\r\n"s,
                                  "5;;a\r\nhello\r\n"s,
                                  "5;a b\r\nhello\r\n"s,
                                  "5,a\r\nhello\r\n"s,
                                  "5;\x01\r\nhello\r\n"s,
                                  "5;a=\"\x01\"\r\nhello\r\n"s,
                                  "5;a=\"\0\"\r\nhello\r\n"s,
                                  "5;a=\"\\\x7f\"\r\nhello\r\n"s,
                                  "5;\xff\r\nhello\r\n"s,
                                  "5\v\r\nhello\r\n"s,
                                  "5\0\r\nhello\r\n"s,
                                  "5\r\nhello\n0\r\n"s,
                                  "5\r\nhello0\r\n\r\n"s,
                                  "5\r\nhelloo\r\n"s,
                                  "5\r\nhello\r\r\n"s,
                                  "5\r\nhello \r\n"s,
                                  "FFFFFFFFFFFFFFFFF\r\n"s,
                                  "10000000000000005\r\nhello\r\n"s}) {
    CAPTURE(body);
    const Read read(chunked(body + "0\r\n\r\n"));
    CHECK(read.fault.status == 400);
    CHECK_FALSE(read.ended);
  }
}

TEST_CASE("the extensions of one body are bounded together (RFC 9112, 7.1.1)") {
  const std::string four_thousand = "1;" + std::string(3999, 'x') + "\r\na\r\n";
  const std::string fitting = four_thousand + four_thousand + four_thousand + four_thousand;
  CHECK(Read(chunked(fitting + "1;" + std::string(455, 'x') + "\r\na\r\n0\r\n\r\n")).body == "aaaaa");
  CHECK(Read(chunked(fitting + "1;" + std::string(456, 'x') + "\r\na\r\n0\r\n\r\n")).fault.status == 400);
  CHECK(Read(chunked("1;" + std::string(20'000, 'x'))).fault.status == 400);
  CHECK(Read(chunked("1" + std::string(20'000, ' '))).fault.status == 400);
  CHECK(Read(chunked("1;a=\"" + std::string(20'000, ';'))).fault.status == 400);
}

TEST_CASE("what chunks bring pays for their extensions, so that a long stream of short ones is not cut") {
  const auto many = [](const std::string& chunk) {
    std::string body;
    for (int i = 0; i < 20'000; ++i) body += chunk;
    return Read(chunked(body + "0\r\n\r\n"));
  };
  CHECK(many("8;a=b\r\n12345678\r\n").ended);
  CHECK(many("1  \r\na\r\n").ended);
  CHECK(many("1;" + std::string(16, 'x') + "\r\na\r\n").ended);
  CHECK(many("1;" + std::string(18, 'x') + "\r\na\r\n").fault.status == 400);
  CHECK(many("100;" + std::string(500, 'x') + "\r\n" + std::string(256, 'y') + "\r\n").ended);
}

TEST_CASE("trailers are heard with the body's end") {
  const Read read(chunked("0\r\nX-Sum: \t1 2 \r\nEmpty:\r\n\r\n"));
  CHECK(read.ended);
  CHECK(read.trailers == "X-Sum=1 2\nEmpty=\n");
}

TEST_CASE("a trailer is held to what a field of a head is held to") {
  using namespace std::string_literals;
  for (const std::string& line :
       {"X : y"s, " X: y"s, "\tX: y"s, "X"s, ": y"s, "X(: y"s, "X: y\n"s, "X: y\rz"s, "X: y\r\n z"s, "X: \0"s,
        "X: \x01"s, "X: \x7f"s, "X: y\r\n "s}) {
    CAPTURE(line);
    const Read read(chunked("0\r\n" + line + "\r\n\r\n"));
    CHECK(read.fault.status == 400);
    CHECK_FALSE(read.ended);
  }
}

TEST_CASE("trailers are bounded in number and bytes") {
  const auto lines = [](int count) {
    std::string text = "0\r\n";
    for (int i = 0; i < count; ++i) text += "X: y\r\n";
    return text + "\r\n";
  };
  CHECK(Read(chunked(lines(100))).ended);
  CHECK(Read(chunked(lines(101))).fault.status == 431);
  CHECK(Read(chunked("0\r\nX: " + std::string(20'000, 'y') + "\r\n\r\n")).fault);
  CHECK(Read(chunked("0\r\nX: " + std::string(20'000, 'y'))).fault);
}

TEST_CASE("a chunk is its size in hexadecimal, its bytes in place, and CR LF") {
  net::Gather out;
  const std::string large(0x1a2b, 'x');
  http::write_chunk(large, out);
  CHECK(text_of(out) == "1a2b\r\n" + large + "\r\n");
  REQUIRE(out.parts().size() == 3);
  CHECK(out.parts()[1].iov_base == large.data());
}

TEST_CASE("nothing is no chunk, since that would end the body") {
  net::Gather out;
  http::write_chunk("", out);
  CHECK(out.empty());
}

}  // namespace limpet::http::chunked_body_test
