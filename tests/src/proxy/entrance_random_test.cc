// How connections begin, under random orders of events.
#include "tests/support/entrance_script.h"
#include "tests/support/random_plays.h"

namespace limpet::proxy::entrance_random_test {

using namespace limpet::test;

TEST_CASE("whoever is served is who they are, and whoever does everything right is served") {
  EntranceScript::Outcome all;
  play_randomly(300, 60, [&](const auto& bytes) {
    const EntranceScript::Outcome outcome = EntranceScript::play(bytes);
    REQUIRE(outcome.wrong == "");
    all.answered += outcome.answered;
    all.full += outcome.full;
    all.resumed += outcome.resumed;
    all.failed += outcome.failed;
    all.early += outcome.early;
    for (size_t i = 0; i < all.refused.size(); ++i) all.refused[i] += outcome.refused[i];
  });
  // The plays came to something.
  CHECK(all.answered > 100);
  CHECK(all.full > 50);
  CHECK(all.resumed > 10);
  CHECK(all.failed > 10);
  CHECK(all.early > 0);
  for (const size_t refused : all.refused) CHECK(refused > 0);
}

}  // namespace limpet::proxy::entrance_random_test
