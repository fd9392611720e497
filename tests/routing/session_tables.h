// What tests of the table of sessions share: times, and its books.
#pragma once

#include <doctest/doctest.h>

#include "routing/session_table.h"
#include "tests/routing/balance.h"

namespace limpet::routing::session_tables {

using limpet::routing::test::is_balanced;

inline constexpr uint32_t kNow = 1'700'000'000;
inline constexpr SessionTable::Timeouts kTimeouts{.idle = 600, .unreturned = 60, .renewal_grace = 30};

inline void sweep_all(SessionTable& table, uint32_t now) {
  for (size_t i = 0; i < SessionTable::kSweeps; ++i) table.sweep(now);
}

// Balanced, with no session on the way from one home to another.
inline void check_books(const SessionTable& table, Slot homes) {
  const Census census = table.census();
  CHECK(is_balanced(census));
  uint64_t live = 0;
  for (Slot home = 0; home < homes; ++home) {
    live += table.homes().live(home);
    CHECK(table.homes().load(home) == table.homes().live(home));
    CHECK(is_balanced(table.homes().census(home)));
  }
  CHECK(live == census.live);
}

}  // namespace limpet::routing::session_tables
