// TLS streams under random orders of events, with whatever between the two ends.
#include "tests/support/random_plays.h"
#include "tests/support/tls_script.h"

namespace limpet::net::tls_stream_random_test {

using namespace limpet::test;

TEST_CASE("whatever comes, nobody at a TLS stream is told what the other has not said") {
  TlsScript::Outcome all;
  play_randomly(300, 80, [&](const auto& bytes) {
    const TlsScript::Outcome outcome = TlsScript::play(bytes);
    REQUIRE(outcome.wrong == "");
    all.connected += outcome.connected;
    all.resumed += outcome.resumed;
    all.early += outcome.early;
    all.broken += outcome.broken;
    all.ended += outcome.ended;
  });
  // The plays came to something.
  CHECK(all.connected > 100);
  CHECK(all.resumed > 20);
  CHECK(all.early > 0);
  CHECK(all.broken > 50);
  CHECK(all.ended > 0);
}

}  // namespace limpet::net::tls_stream_random_test
