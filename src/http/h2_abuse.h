// What a peer may do without end over HTTP/2, and how much of it is let pass: it all costs work, and asks for
// nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace limpet::http {

enum class H2Abuse : uint8_t {
  resets,          // streams that it begins and cancels (CVE-2023-44487)
  stream_errors,   // and those that it makes us reset (CVE-2025-8671)
  heads,           // that are malformed, or unpack to much more than they may
  settings,        // CVE-2019-9515
  pings,           // CVE-2019-9512
  empty_frames,    // CVE-2019-9518
  priorities,      // CVE-2019-9513
  window_updates,  // without anything sent that they could answer
  flood,           // what nghttp2 takes for one: CONTINUATION, answers that are not read
  violations,      // of a rule whose breach ends a connection: more streams than there may be, bad frames
};
inline constexpr size_t kH2Abuses = 10;
const char* text(H2Abuse abuse);  // as in metrics

// What one peer has left of each. It earns more by what it asks for, and by time.
class H2Budget {
 public:
  explicit H2Budget(uint64_t now_ms) : began_ms_(now_ms) {}

  void answered() { ++answers_; }  // an answer was sent to its end
  void passed() { ++frames_; }     // a frame with content, either way
  // One that went to it. Some open both windows for each frame that comes, or for each piece of one that they
  // have read.
  void sent(size_t bytes) {
    passed();
    updates_ += 2 + bytes / kOfUpdate;
  }
  // False: it is too much.
  bool spend(H2Abuse abuse, uint64_t now_ms);

 private:
  static constexpr size_t kOfUpdate = 1024;

  const uint64_t began_ms_;
  uint64_t answers_ = 0;
  uint64_t frames_ = 0;
  uint64_t updates_ = 0;  // that answer what was sent
  std::array<uint32_t, kH2Abuses> spent_{};
};

}  // namespace limpet::http
