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
        "5;a\r\nhello\r\n0;b=c\r\n\r\n", "5;a=\"b c\"\r\nhello\r\n0\r\n\r\n"}) {
    CAPTURE(body);
    const Read read(chunked(std::string(body) + "GET /next"));
    CHECK(read.fault.status == 0);
    CHECK(read.body == "hello");
    CHECK(read.ended);
    CHECK(read.size == read.head.size() + body.size());
  }
}

TEST_CASE("a chunk that could be understood in two ways is refused") {
  for (const std::string_view body :
       {"\r\n", ";a\r\n", "x\r\n", "+5\r\nhello\r\n", "-5\r\nhello\r\n", "0x5\r\nhello\r\n",
        " 5\r\nhello\r\n", "5 \r\nhello\r\n", "5\nhello\r\n", "5\r\rhello\r\n", "5;a\nb\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n", "5;\x01\r\nhello\r\n", "5\r\nhello\n0\r\n", "5\r\nhello0\r\n\r\n",
        "5\r\nhelloo\r\n", "5\r\nhello\r\r\n", "FFFFFFFFFFFFFFFFF\r\n", "10000000000000005\r\nhello\r\n"}) {
    CAPTURE(body);
    const Read read(chunked(std::string(body) + "0\r\n\r\n"));
    CHECK(read.fault.status == 400);
    CHECK_FALSE(read.ended);
  }
}

TEST_CASE("a chunk's extensions are bounded, each chunk's for itself") {
  const std::string fitting = "1;" + std::string(4000, 'x') + "\r\na\r\n";
  CHECK(Read(chunked(fitting + fitting + fitting + "0\r\n\r\n")).body == "aaa");
  CHECK(Read(chunked("1;" + std::string(5000, 'x') + "\r\na\r\n0\r\n\r\n")).fault.status == 400);
  CHECK(Read(chunked("1;" + std::string(5000, 'x'))).fault.status == 400);
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
