// What must hold of a chunked body that is accepted: where its bytes are split makes no difference, a reader
// that skips from a chunk's size to the next line feed finds the same body, and so does one of what leaves.
#pragma once

#include <array>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "src/http/body_reader.h"
#include "src/http/chunk.h"
#include "tests/support/choices.h"
#include "tests/support/gathered.h"

namespace limpet::test {

class ChunkCheck {
 public:
  // Makes a body and pieces of it out of `bytes`; what is wrong with how it is understood, or nothing.
  static std::string check(std::span<const uint8_t> bytes) {
    Choices choices(bytes);
    const size_t piece = 1 + choices.below(16);
    return check_text(choices.rest_with(kBits), piece);
  }

 private:
  static constexpr std::array<std::string_view, 16> kBits{"5\r\nhello\r\n",
                                                          "0\r\n\r\n",
                                                          "0\r\n",
                                                          "1;a=b\r\nx\r\n",
                                                          "3 \r\nabc\r\n",
                                                          "2",
                                                          "\r\n",
                                                          ";a=\"b;c\\\"\"",
                                                          " ; a = b",
                                                          ";",
                                                          "a",
                                                          "=",
                                                          "\"",
                                                          "\\",
                                                          "X: y",
                                                          "0;last\r\nX: y\r\n\r\n"};

  struct Body : http::BodySink {
    std::string bytes;
    size_t size = 0;  // with its framing
    bool ended = false;
    http::Fault fault;
    void on_body(std::string_view more) override { bytes.append(more); }
    void on_body_end(const http::Fields&) override { ended = true; }
  };

  static Body read(std::string_view text, size_t piece) {
    Body body;
    http::BodyReader reader;
    reader.begin({.kind = http::BodyKind::chunked});
    while (!text.empty() && !body.ended && !body.fault) {
      const size_t taken = reader.feed(text.substr(0, piece), body, body.fault);
      body.size += taken;
      text.remove_prefix(taken);
    }
    return body;
  }

  // As servers do that look at sizes and line feeds alone.
  static std::string read_carelessly(std::string_view text) {
    std::string body;
    for (;;) {
      const size_t size = std::strtoul(std::string(text.substr(0, 20)).c_str(), nullptr, 16);
      if (size == 0) return body;
      text.remove_prefix(text.find('\n') + 1);
      body.append(text.substr(0, size));
      text.remove_prefix(size);
      text.remove_prefix(text.find('\n') + 1);
    }
  }

  static std::string check_text(std::string_view text, size_t piece) {
    const Body whole = read(text, text.size());
    for (const size_t size : {piece, size_t{1}}) {
      const Body pieces = read(text, size);
      if (pieces.bytes != whole.bytes || pieces.ended != whole.ended ||
          pieces.fault.status != whole.fault.status || (whole.ended && pieces.size != whole.size)) {
        return "a split makes a difference";
      }
    }
    if (!whole.ended) return {};
    if (read_carelessly(text) != whole.bytes) return "a careless reader finds another body";
    net::Gather out;
    http::write_chunk(whole.bytes, out);
    out.text("0\r\n\r\n");
    const std::string written = text_of(out);
    const Body again = read(written, written.size());
    if (again.bytes != whole.bytes || !again.ended || again.size != written.size())
      return "what left has another body";
    return {};
  }
};

}  // namespace limpet::test
