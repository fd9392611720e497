// Close frames are found wherever the bytes are cut, and nowhere else.
#include "src/http/web_socket.h"

#include <doctest/doctest.h>

#include <string>

namespace limpet::http::web_socket_test {

using From = WebSocketFrames::From;

std::string frame(From from, uint8_t opcode, const std::string& payload) {
  std::string out(1, static_cast<char>(0x80 | opcode));
  const size_t size = payload.size();
  const char mask = from == From::client ? '\x80' : '\0';
  const auto put = [&](uint64_t number, int octets) {
    while (octets-- > 0) out += static_cast<char>(number >> (8 * octets));
  };
  if (size <= 125) {
    out += static_cast<char>(mask | static_cast<char>(size));
  } else {
    out += static_cast<char>(mask | (size <= 0xffff ? 126 : 127));
    put(size, size <= 0xffff ? 2 : 8);
  }
  if (from == From::client) out += "mask";
  return out + payload;
}

WebSocketFrames read(From from, const std::string& bytes, size_t step) {
  WebSocketFrames frames(from);
  for (size_t at = 0; at < bytes.size(); at += step) frames.feed(std::string_view(bytes).substr(at, step));
  return frames;
}

TEST_CASE("a Close frame is found behind frames of every size, however the bytes come") {
  for (const From from : {From::client, From::server}) {
    const std::string looks_like_close(70'000, '\x88');
    std::string bytes;
    for (const size_t size : {0, 1, 125, 126, 1000, 65535, 65536, 70000})
      bytes += frame(from, size % 2 == 0 ? 1 : 2, looks_like_close.substr(0, size));
    bytes += frame(from, 9, "ping") + frame(from, 10, "pong") + frame(from, 0, "more");
    for (const size_t step : {1, 2, 3, 7, 1000, 1'000'000}) {
      CAPTURE(step);
      CHECK(read(from, bytes, step).readable());
      CHECK_FALSE(read(from, bytes, step).closed());
      CHECK(read(from, bytes + frame(from, 8, "\x03\xe8"), step).closed());
      CHECK(read(from, bytes + frame(from, 8, "") + "whatever", step).closed());
    }
  }
}

TEST_CASE("frames that compress their payload are frames") {
  std::string compressed = frame(From::server, 1, "xyz");
  compressed[0] = static_cast<char>(compressed[0] | 0x40);  // RFC 7692, section 6
  CHECK(read(From::server, compressed, 1).readable());
}

TEST_CASE("what is no WebSocket is not taken for one") {
  CHECK_FALSE(read(From::server, "gone", 1).readable());                       // an opcode that is none
  CHECK_FALSE(read(From::server, frame(From::client, 1, "x"), 1).readable());  // masked
  CHECK_FALSE(read(From::client, frame(From::server, 1, "x"), 1).readable());  // not masked
  CHECK_FALSE(read(From::server, frame(From::server, 9, std::string(126, 'x')), 1).readable());
  CHECK_FALSE(read(From::server, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 1).readable());
}

}  // namespace limpet::http::web_socket_test
