// Cookies, tokens and key files, put together at random.
#include <doctest/doctest.h>

#include "tests/support/cookie_check.h"
#include "tests/support/key_file_check.h"
#include "tests/support/random_plays.h"
#include "tests/support/token_check.h"

namespace limpet::cookies_and_keys_random_test {

using namespace limpet::test;

TEST_CASE("a plain second reading finds the same cookies, and the pool's own goes no further") {
  play_randomly(2000, 60, [](const auto& bytes) { REQUIRE(CookieCheck::check(bytes) == ""); });
}

TEST_CASE("what opens is what was sealed, whatever a client shows") {
  play_randomly(300, 300, [](const auto& bytes) { REQUIRE(TokenCheck::check(bytes) == ""); });
}

TEST_CASE("whatever a key file holds gives secrets, or faults that show none") {
  play_randomly(1000, 60, [](const auto& bytes) { REQUIRE(KeyFileCheck::check(bytes) == ""); });
}

}  // namespace limpet::cookies_and_keys_random_test
