#include "routing/cookie_date.h"

#include <doctest/doctest.h>

#include "tests/routing/random_inputs.h"

namespace limpet::routing::cookie_date_test {

TEST_CASE("the dates that servers write are read") {
  CHECK(parse_cookie_date("Thu, 01 Jan 1970 00:00:00 GMT") == 0);
  CHECK(parse_cookie_date("Thu, 01-Jan-1970 00:00:10 GMT") == 10);
  CHECK(parse_cookie_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777);
  CHECK(parse_cookie_date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777);
  CHECK(parse_cookie_date("Sun Nov  6 08:49:37 1994") == 784111777);
  CHECK(parse_cookie_date("Fri, 31 Dec 9999 23:59:59 GMT") == 253402300799);
}

TEST_CASE("a date of two digits is of this century below 70 and of the last one from there") {
  CHECK(parse_cookie_date("1 Jan 70 0:0:0") == 0);
  CHECK(parse_cookie_date("1 Jan 69 0:0:0") == 3124224000);
}

TEST_CASE("a date before 1970 is a date") { CHECK(parse_cookie_date("1 Jan 1601 00:00:00") == -11644473600); }

TEST_CASE("what is no date is none") {
  for (const char* text :
       {"", "0", "-1", "session", "Thu, 01 Jan 1970", "00:00:00 GMT", "32 Jan 2020 00:00:00",
        "30 Feb 2020 00:00:00", "1 Jan 2020 24:00:00", "1 Jan 2020 00:60:00", "1 Jan 2020 00:00:60",
        "1 Jan 1600 00:00:00", "1 Foo 2020 00:00:00", "1 Jan 20200 00:00:00", "001 Jan 2020 00:00:00"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_cookie_date(text));
  }
}

TEST_CASE("any bytes are a date or none") {
  LIMPET_RANDOM_INPUTS(301);
  const std::string alphabet = "0123456789: ,-JanFebGMT\x7f\xff";
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint64_t n = inputs.below(40); n > 0; --n) text += alphabet[inputs.below(alphabet.size())];
    const auto date = parse_cookie_date(text);
    if (date) CHECK(*date < 253402300800);
  }
}

}  // namespace limpet::routing::cookie_date_test
