// Configuration files, put together at random.
#include <doctest/doctest.h>

#include "tests/support/folder.h"
#include "tests/support/random_plays.h"
#include "tests/support/settings_check.h"

namespace limpet::settings_random_test {

using namespace limpet::test;

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

TEST_CASE("whatever a configuration file holds gives faults in it, or settings that can be put to use") {
  play_randomly(300, 200, [](const auto& bytes) { REQUIRE(SettingsCheck::check(bytes).wrong == ""); });
}

TEST_CASE("the shipped files can be put to use") {
  for (const char* file : {"/conf/limpet.toml", "/conf/quickstart.toml"}) {
    const SettingsCheck::Outcome outcome =
        SettingsCheck::check(bytes_of(content(LIMPET_SOURCE_DIR + std::string(file))));
    CHECK(outcome.wrong == "");
    CHECK(outcome.is_loaded);
    CHECK(outcome.answered > 0);
  }
}

TEST_CASE("settings with limits that are soon reached can be put to use") {
  const SettingsCheck::Outcome outcome = SettingsCheck::check(
      bytes_of(content(LIMPET_SOURCE_DIR "/tests/fuzz/corpus/fuzz_settings/limits.toml")));
  CHECK(outcome.wrong == "");
  CHECK(outcome.is_loaded);
}

}  // namespace limpet::settings_random_test
