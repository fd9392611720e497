// The reader of chunked bodies on random ones of sound and unsound parts.
#include <doctest/doctest.h>

#include <random>

#include "tests/support/chunk_check.h"

namespace limpet::http::chunks_random_test {

TEST_CASE("a chunked body that is accepted is the same to every reader, however it is split") {
  constexpr uint64_t kSeed = 20240613;
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<uint8_t> bytes(2 + random() % 8);
    for (uint8_t& byte : bytes)
      byte = static_cast<uint8_t>(random() % 20 == 0 ? random() % 128 : 128 + random() % 64);
    if (random() % 2 == 0) bytes.push_back(128 + 1);
    const std::string wrong = test::ChunkCheck::check(bytes);
    INFO("seed " << kSeed << ", body " << i);
    REQUIRE(wrong == "");
  }
}

}  // namespace limpet::http::chunks_random_test
