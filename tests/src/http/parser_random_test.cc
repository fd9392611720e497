// The parser and the writers on random messages of sound and unsound parts.
#include <doctest/doctest.h>

#include <random>

#include "tests/support/message_check.h"

namespace limpet::http::parser_random_test {

using namespace limpet::test;

TEST_CASE("however a message is split it is understood alike, and what is accepted leaves as one message") {
  constexpr uint64_t kSeed = 20240612;
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<uint8_t> bytes(9 + random() % 14);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    // A message that begins as one, of whole parts for the most.
    for (size_t at = 9; at < bytes.size(); ++at)
      bytes[at] = static_cast<uint8_t>(128 + bytes[at] % (random() % 20 == 0 ? 128 : 64));
    if (bytes.size() > 9 && bytes[0] % 3 == 0) bytes[9] = static_cast<uint8_t>(128 + random() % 2);
    if (bytes.size() > 9 && bytes[0] % 3 != 0) bytes[9] = 130;
    if (bytes.size() > 12) bytes[bytes.size() - 3] = 128 + 48;
    const std::string wrong = MessageCheck::check(bytes);
    INFO("seed " << kSeed << ", message " << i);
    REQUIRE(wrong == "");
  }
}

}  // namespace limpet::http::parser_random_test
