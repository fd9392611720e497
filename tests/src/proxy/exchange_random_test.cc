// The proxy under random orders of events: what must always hold holds, whoever stalls, lies or dies when.
#include <random>

#include "tests/src/proxy/proxy_fixture.h"
#include "tests/support/exchange_script.h"

namespace limpet::proxy::exchange_random_test {

using namespace limpet::test;

TEST_CASE("no order of events breaks what an exchange promises to its client and to its backends") {
  constexpr uint64_t kSeed = 20240611;
  constexpr int kPlays = 1500;
  std::mt19937_64 random(kSeed);
  ExchangeScript::Outcome all;
  for (int i = 0; i < kPlays; ++i) {
    std::vector<uint8_t> moves(20 + random() % 400);
    for (uint8_t& move : moves) move = static_cast<uint8_t>(random());
    ExchangeScript::Outcome outcome = ExchangeScript::play(moves);
    all.answered += outcome.answered;
    for (const bool client : {false, true})
      for (const bool backend : {false, true})
        all.answered_by[client][backend] += outcome.answered_by[client][backend];
    all.tunnels += outcome.tunnels;
    all.repeated += outcome.repeated;
    all.over_rate += outcome.over_rate;
    all.shed += outcome.shed;
    all.refused += outcome.refused;
    if (outcome.wrong.empty()) continue;
    std::string trace;
    ExchangeScript::play(moves, &trace);
    FAIL("seed " << kSeed << ", play " << i << ": " << outcome.wrong << "\n" << trace);
  }
  // The plays came to something.
  CHECK(all.answered > kPlays);
  for (const auto& by_client : all.answered_by)
    for (const size_t answered : by_client) CHECK(answered > kPlays / 20);
  CHECK(all.tunnels > 0);
  CHECK(all.repeated > 0);
  CHECK(all.over_rate > 0);
  CHECK(all.shed > 0);
  CHECK(all.refused > 0);
}

}  // namespace limpet::proxy::exchange_random_test
