#include "conf/words.h"

#include <doctest/doctest.h>

namespace limpet::conf::words_test {

// In the order of the type's values, so that none is left out or told twice.
template <class E>
void check_all(E last) {
  CHECK(kWords<E>.size() == static_cast<size_t>(last) + 1);
  for (size_t i = 0; i < kWords<E>.size(); ++i) {
    CHECK(kWords<E>[i].value == static_cast<E>(i));
    CHECK(text(static_cast<E>(i)) == kWords<E>[i].word);
  }
}

TEST_CASE("every value that is one of several has a word") {
  check_all(AffinityKind::session_id);
  check_all(Storage::shared);
  check_all(Placement::random_two);
  check_all(Failover::refuse);
  check_all(Failback::go_home);
  CHECK(text(AffinityKind::session_id) == "session-id");
  CHECK(text(Failback::go_home) == "return");
}

}  // namespace limpet::conf::words_test
