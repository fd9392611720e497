#include "src/status/words.h"

#include <doctest/doctest.h>

namespace limpet::status::words_test {

TEST_CASE("a latency has as many digits as it deserves") {
  CHECK(latency_words(0.064) == "0.06 ms");
  CHECK(latency_words(3.14159) == "3.1 ms");
  CHECK(latency_words(12.3) == "12 ms");
  CHECK(latency_words(1340) == "1.3 s");
  CHECK(latency_words(67109) == "67 s");
}

TEST_CASE("columns are as wide as their widest cell, in characters") {
  Table table({{"NAME"}, {"N", Table::Align::right}, {"WHY"}});
  table.add({"caf\xc3\xa9", "1", ""});
  table.add({"a", "1000", "because"});
  CHECK(table.text() ==
        "NAME     N  WHY\n"
        "caf\xc3\xa9     1\n"
        "a     1000  because\n");
}

TEST_CASE("what is cut is cut between characters") {
  CHECK(cut_to("caf\xc3\xa9s", 10) == "caf\xc3\xa9s");
  CHECK(cut_to("caf\xc3\xa9s", 4) == "caf\xc3\xa9");
  CHECK(cut_to("caf\xc3\xa9s", 3) == "caf");
  CHECK(cut_to("", 3) == "");
}

}  // namespace limpet::status::words_test
