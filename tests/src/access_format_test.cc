#include "src/access_format.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace limpet::access_format_test {

using limpet::conf::AccessFormat;

std::string line_of(const AccessRecord& record, AccessFormat format = AccessFormat::json) {
  AccessFormatter formatter(format);
  std::unique_ptr<char[]> bytes(new char[AccessFormatter::most_bytes(record)]);
  const char* end = formatter.write(record, bytes.get());
  const auto size = static_cast<size_t>(end - bytes.get());
  CHECK(size <= AccessFormatter::most_bytes(record));
  return {bytes.get(), size};
}

AccessRecord typical() {
  return {.time_us = 1'738'368'000'123'456,
          .client = "192.0.2.7",
          .listener = "web",
          .method = "GET",
          .target = "/cart?item=7",
          .host = "shop.example.com",
          .protocol = "HTTP/1.1",
          .referer = "https://shop.example.com/",
          .user_agent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0",
          .status = 200,
          .bytes_in = 0,
          .bytes_out = 5120,
          .connect_us = -1,
          .head_us = 1234,
          .total_us = 2'000'005,
          .pool = "shop",
          .backend = "a",
          .affinity = "cookie",
          .reason = "token",
          .retries = 1,
          .request_id = "9f86d081884c7d65",
          .trace_id = "0af7651916cd43dd8448eb211c80319c",
          .end = "ok"};
}

// The length of the character at text[i], by decoding it and looking whether it had to be written so; 0 when
// it is none.
size_t character_length(const std::string& text, size_t i) {
  const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u; };
  for (size_t length = 2; length <= 4; length++) {
    const unsigned marker = 0xf0u << (4 - length) & 0xff, mask = 0xffu << (7 - length) & 0xff;
    if ((byte(i) & mask) != marker) continue;
    uint32_t code = byte(i) & ~mask;
    for (size_t k = 1; k < length; k++) {
      if ((byte(i + k) & 0xc0) != 0x80) return 0;
      code = code << 6 | (byte(i + k) & 0x3f);
    }
    const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool is_surrogate = code >= 0xd800 && code < 0xe000;
    return code >= least[length] && code <= 0x10ffff && !is_surrogate ? length : 0;
  }
  return byte(i) < 0x80 ? 1 : 0;
}

// What a reader of JSON is to see: UTF-8 as it stands, any other byte as the character of the same number.
std::string as_text(const std::string& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    if (const size_t length = character_length(bytes, i); length > 0) {
      text += bytes.substr(i, length);
      i += length;
    } else {
      const auto byte = static_cast<unsigned char>(bytes[i++]);
      text += static_cast<char>(0xc0 | byte >> 6);
      text += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return text;
}

TEST_CASE("a JSON line holds every field in its order") {
  CHECK(
      line_of(typical()) ==
      R"({"time":"2025-02-01T00:00:00.123Z","client":"192.0.2.7","listener":"web","method":"GET",)"
      R"("target":"/cart?item=7","host":"shop.example.com","protocol":"HTTP/1.1","status":200,"bytes_in":0,)"
      R"("bytes_out":5120,"queued_ms":null,"connect_ms":null,"head_ms":1.234,"total_ms":2000.005,"pool":"shop","backend":"a",)"
      R"("affinity":"cookie","reason":"token","retries":1,"request_id":"9f86d081884c7d65","trace_id":"0af7651916cd43dd8448eb211c80319c","end":"ok"})"
      "\n");
}

TEST_CASE("a request that belongs to no trace says so in JSON") {
  AccessRecord record = typical();
  record.trace_id = {};
  CHECK(nlohmann::json::parse(line_of(record))["trace_id"].is_null());
}

TEST_CASE("a combined line is Apache's") {
  CHECK(line_of(typical(), AccessFormat::combined) ==
        "192.0.2.7 - - [01/Feb/2025:00:00:00 +0000] \"GET /cart?item=7 HTTP/1.1\" 200 5120 "
        "\"https://shop.example.com/\" "
        "\"Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0\"\n");
}

TEST_CASE("a combined line has dashes where nothing is known") {
  AccessRecord record;
  record.client = "::1";
  record.status = 408;
  CHECK(line_of(record, AccessFormat::combined) ==
        "::1 - - [01/Jan/1970:00:00:00 +0000] \"-\" 408 - \"-\" \"-\"\n");
}

TEST_CASE("a combined line escapes quotes, control characters and bytes beyond ASCII") {
  AccessRecord record = typical();
  record.user_agent = "a\"b\\c\nd\x1b\x7f\xc3\xa9";
  CHECK(line_of(record, AccessFormat::combined).find(R"("a\"b\\c\nd\x1b\x7f\xc3\xa9")") != std::string::npos);
}

TEST_CASE("control characters above ASCII, which terminals obey, are escaped") {
  AccessRecord record = typical();
  record.target =
      "/\xc2\x9b"
      "31m";
  CHECK(line_of(record).find(R"("/\u009b31m")") != std::string::npos);
}

TEST_CASE("a second's text follows the clock, also backwards") {
  AccessFormatter formatter(AccessFormat::json);
  AccessRecord record;
  char bytes[1024];
  const auto time_at = [&](uint64_t us) {
    record.time_us = us;
    formatter.write(record, bytes);
    return std::string(bytes + 9, 24);
  };
  CHECK(time_at(951'782'399'999'999) == "2000-02-28T23:59:59.999Z");
  CHECK(time_at(951'782'400'000'000) == "2000-02-29T00:00:00.000Z");
  CHECK(time_at(951'782'399'001'000) == "2000-02-28T23:59:59.001Z");
}

TEST_CASE("the longest numbers fit into what was asked for") {
  AccessRecord record;
  record.time_us = std::numeric_limits<uint64_t>::max();
  record.status = std::numeric_limits<int>::min();
  record.bytes_in = record.bytes_out = std::numeric_limits<uint64_t>::max();
  record.connect_us = record.head_us = record.total_us = std::numeric_limits<int64_t>::max();
  record.retries = std::numeric_limits<uint32_t>::max();
  const auto json = nlohmann::json::parse(line_of(record));  // line_of() checks the length
  CHECK(json["bytes_out"] == std::numeric_limits<uint64_t>::max());
  CHECK(json["time"].get<std::string>().substr(0, 4) == "9999");
}

TEST_CASE("random bytes in every field come back as the same text") {
  const unsigned seed = 20250131;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  // Few kinds of bytes, so that quotes, controls and pieces of UTF-8 meet at every offset of a word.
  const std::vector<std::string> pieces = {"\"",
                                           "\\",
                                           "\n",
                                           std::string(1, '\0'),
                                           "\x1f",
                                           "\x7f",
                                           "\x80",
                                           "\xbf",
                                           "\xc0",
                                           "\xc3",
                                           "\xa9",
                                           "\xc3\xa9",
                                           "\xe2\x82\xac",
                                           "\xed\xa0\x80",
                                           "\xf0\x9f\x98\x80",
                                           "\xf4\x90",
                                           "\xff",
                                           "a",
                                           "plain text of some length",
                                           " ",
                                           "/",
                                           "~",
                                           "!",
                                           "#",
                                           "[",
                                           "]"};
  const auto random_text = [&] {
    std::string text;
    for (auto n = random() % 12; n > 0; n--) {
      text +=
          random() % 4 == 0 ? std::string(1, static_cast<char>(random())) : pieces[random() % pieces.size()];
    }
    return text;
  };
  for (int round = 0; round < 3000; round++) {
    std::vector<std::string> texts(15);
    for (std::string& text : texts) text = random_text();
    AccessRecord record = typical();
    size_t next = 0;
    for (std::string_view* field :
         {&record.client, &record.listener, &record.method, &record.target, &record.host, &record.protocol,
          &record.pool, &record.backend, &record.affinity, &record.reason, &record.request_id,
          &record.trace_id, &record.end, &record.referer, &record.user_agent}) {
      *field = texts[next++];
    }
    const std::string line = line_of(record);
    REQUIRE(line.find('\n') == line.size() - 1);
    const auto json = nlohmann::json::parse(line);
    next = 0;
    for (const char* name : {"client", "listener", "method", "target", "host", "protocol", "pool", "backend",
                             "affinity", "reason", "request_id", "trace_id", "end"}) {
      const std::string& text = texts[next++];
      const bool is_absent = text.empty() && std::string_view(name) == "trace_id";
      REQUIRE((is_absent ? json[name].is_null() : json[name].get<std::string>() == as_text(text)));
    }
    const std::string combined = line_of(record, AccessFormat::combined);
    REQUIRE(combined.find('\n') == combined.size() - 1);
    for (const char byte : combined.substr(0, combined.size() - 1)) REQUIRE((byte >= 0x20 && byte < 0x7f));
  }
}

}  // namespace limpet::access_format_test
