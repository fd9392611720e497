// Files of certificates, made at random of good ones and of anything.
#include "tests/support/certificate_check.h"
#include "tests/support/random_plays.h"

namespace limpet::certificate_random_test {

using namespace limpet::test;

TEST_CASE("whatever a certificate's file holds gives one that can be shown, or a sentence") {
  size_t loaded = 0, shown = 0, believed = 0;
  play_randomly(300, 40, [&](const auto& bytes) {
    const CertificateCheck::Outcome outcome = CertificateCheck::check(bytes);
    REQUIRE(outcome.wrong == "");
    loaded += outcome.is_loaded ? 1 : 0;
    shown += outcome.is_shown ? 1 : 0;
    believed += outcome.is_believed ? 1 : 0;
  });
  CHECK(loaded > 50);
  CHECK(shown > 10);
  CHECK(believed > 10);
}

}  // namespace limpet::certificate_random_test
