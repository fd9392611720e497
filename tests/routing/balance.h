// What has to add up, whatever happened.
#pragma once

#include "routing/session_table.h"

namespace limpet::routing::test {

// Whatever came to a home is still there, has ended, or left in a way that was counted.
inline bool is_balanced(const HomeCensus& home) {
  const Tally& all = home.books.all;
  const uint64_t went = all[Event::carried] + all[Event::moved] + all[Event::reassigned];
  return all.begun() + home.arrived == home.live + all.ended() + went && home.live_returned <= home.live;
}

// Whatever began is there or has ended; `returns`: how many sessions' clients came back for the first time.
inline bool is_balanced(const Census& census) {
  const Books& books = census.books;
  return census.imbalance == 0 && books.all.begun() == census.live + books.all.ended() &&
         census.at_risk <= census.live;
}
inline bool is_balanced(const Census& census, uint64_t returns) {
  const Tally& returned = census.books.returned;
  return is_balanced(census) && returned.begun() + returns == census.live_returned + returned.ended() &&
         census.at_risk_returned <= census.live_returned;
}

}  // namespace limpet::routing::test
