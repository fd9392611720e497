#include "conf/quantities.h"

#include <doctest/doctest.h>

#include <random>

namespace limpet::conf::quantities_test {

constexpr uint64_t kMost = INT64_MAX;

TEST_CASE("a size has one number and one unit, decimal or binary") {
  CHECK(parse_size("0B") == 0);
  CHECK(parse_size("512B") == 512);
  CHECK(parse_size("32KiB") == 32 * 1024);
  CHECK(parse_size("32KB") == 32'000);
  CHECK(parse_size("3MiB") == 3 * 1024 * 1024);
  CHECK(parse_size("3MB") == 3'000'000);
  CHECK(parse_size("2GiB") == 2ull << 30);
  CHECK(parse_size("2GB") == 2'000'000'000);
}

TEST_CASE("a size's unit is read in any case and after a space") {
  CHECK(parse_size("32kib") == 32 * 1024);
  CHECK(parse_size("32kB") == 32'000);
  CHECK(parse_size("32 MiB") == 32 * MiB);
}

TEST_CASE("what is not a size is refused") {
  for (const char* text :
       {"", "1", "B", "KiB", "-1B", "+1B", "1.5MB", "1K", "1M", "1KiB ", " 1KiB", "1KiB2B", "1TiB", "1KiBB",
        "0x10B", "9223372036854775808B", "18446744073709551616B", "8589934592GiB"}) {
    CAPTURE(text);
    CHECK(parse_size(text) == std::nullopt);
  }
  CHECK(parse_size("9223372036854775807B") == kMost);
  CHECK(parse_size(std::string_view("1B\0", 3)) == std::nullopt);
}

TEST_CASE("a duration has units from days to milliseconds, and combines them") {
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("60s") == 60s);
  CHECK(parse_duration("2m") == 2min);
  CHECK(parse_duration("1h") == 1h);
  CHECK(parse_duration("7d") == 7 * 24h);
  CHECK(parse_duration("1m30s") == 90s);
  CHECK(parse_duration("1d2h3m4s5ms") == 24h + 2h + 3min + 4s + 5ms);
  CHECK(parse_duration("1m 30 s") == 90s);
  CHECK(parse_duration("0s") == 0s);
}

TEST_CASE("what is not a duration is refused") {
  for (const char* text :
       {"", "30", "s", "-1s", "1.5s", "30s1m", "1s1s", "1 minute", "1M", "1S", "1us", "1s,", " 1s", "1s+2ms",
        "9223372036854775808ms", "106751991168d", "9223372036854775s808ms"}) {
    CAPTURE(text);
    CHECK(parse_duration(text) == std::nullopt);
  }
  CHECK(parse_duration("9223372036854775s807ms") == Duration::max());
}

TEST_CASE("sizes and durations that were printed read back as themselves") {
  std::mt19937_64 random(42);
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t value = (random() >> 1) >> (random() % 63);
    CAPTURE(value);
    REQUIRE(parse_size(size_text(value)) == value);
    REQUIRE(parse_duration(duration_text(Duration(static_cast<int64_t>(value)))) ==
            Duration(static_cast<int64_t>(value)));
  }
  CHECK(size_text(0) == "0B");
  CHECK(size_text(1536) == "1536B");
  CHECK(size_text(32 * KiB) == "32KiB");
  CHECK(duration_text(0ms) == "0s");
  CHECK(duration_text(90'500ms) == "1m30s500ms");
}

}  // namespace limpet::conf::quantities_test
