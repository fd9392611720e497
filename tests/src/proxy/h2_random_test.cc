// HTTP/2 on either side under random orders of events.
#include <spdlog/spdlog.h>

#include "tests/src/proxy/proxy_fixture.h"
#include "tests/support/h2_script.h"
#include "tests/support/random_plays.h"

namespace limpet::proxy::h2_random_test {

using namespace limpet::test;

TEST_CASE("no order of events over HTTP/2 gives anybody what is another's, or leaves anything behind") {
  spdlog::set_level(spdlog::level::off);  // it says who is cut
  size_t answered = 0, cancelled = 0, raw = 0, play = 0;
  play_randomly(1500, 600, [&](const std::vector<uint8_t>& moves) {
    const H2Script::Outcome outcome = H2Script::play(moves);
    answered += outcome.answered;
    cancelled += outcome.cancelled;
    raw += outcome.raw;
    REQUIRE_MESSAGE(outcome.wrong == "", "play ", play);
    ++play;
  });
  spdlog::set_level(spdlog::level::info);
  CHECK(answered > 500);
  CHECK(cancelled > 1000);
  CHECK(raw > 1000);
}

}  // namespace limpet::proxy::h2_random_test
