#include "src/http/h2_abuse.h"

namespace limpet::http {

namespace {

// Beside what it earns. Browsers cancel all that a page has asked for when their user goes on.
constexpr std::array<uint32_t, kH2Abuses> kAllowed{
    200,  // resets
    50,   // stream_errors
    50,   // heads
    50,   // settings
    100,  // pings
    200,  // empty_frames
    500,  // priorities
    500,  // window_updates
    0,    // flood
    0,    // violations
};
constexpr uint64_t kEarnEveryMs = 100;

// Of these content earns nothing.
bool is_of_streams(H2Abuse abuse) {
  return abuse == H2Abuse::resets || abuse == H2Abuse::stream_errors || abuse == H2Abuse::heads;
}

}  // namespace

const char* text(H2Abuse abuse) {
  constexpr std::array<const char*, kH2Abuses> kTexts{
      "resets",       "stream_errors", "heads",          "settings", "pings",
      "empty_frames", "priorities",    "window_updates", "flood",    "violations"};
  return kTexts[static_cast<size_t>(abuse)];
}

bool H2Budget::spend(H2Abuse abuse, uint64_t now_ms) {
  if (abuse >= H2Abuse::flood) return false;
  const auto index = static_cast<size_t>(abuse);
  const uint64_t by_content = abuse == H2Abuse::window_updates ? updates_
                              : is_of_streams(abuse)           ? 0
                                                               : frames_;
  const uint64_t earned = answers_ + by_content + (now_ms - began_ms_) / kEarnEveryMs;
  return ++spent_[index] <= kAllowed[index] + earned;
}

}  // namespace limpet::http
