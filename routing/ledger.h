// What can become of a session, counted. Every session is begun once and ended once; in between it is active,
// or at risk while its home is out of service:
//
//     opened + restored = active + at_risk + expired + logged_out + lost + abandoned + unbound + evicted
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace limpet::routing {

enum class Event : uint8_t {
  // Begun:
  opened,
  restored,  // it existed before this process knew it
  // Ended:
  expired,     // idle too long, its home in service
  logged_out,  // the application deleted it
  lost,        // its client was sent to another backend, and the data did not come along
  abandoned,   // idle too long, its home out of service: nobody saw a loss
  unbound,     // an operator removed it
  evicted,     // pushed out: the table was full
  // Lives on:
  carried,     // at another backend, data and all
  moved,       // at another backend, where an operator put it
  reassigned,  // at another backend, before its home had answered anything: there was nothing to lose
  renewed,     // under another key
  recovered,   // its home came back, and was the first to answer it
  // Of the lost:
  confirmed,  // the first answer set a new id, or deleted the one that there was
  restarted,  // their home came back without them
  // Beside them:
  uncertain,  // it may have been lost; so at most lost + uncertain were
};
inline constexpr size_t kEvents = 16;
const char* text(Event);  // the name above, as reports have it

// How often each happened.
struct Tally {
  std::array<uint64_t, kEvents> counts{};

  uint64_t operator[](Event event) const { return counts[static_cast<size_t>(event)]; }
  uint64_t& operator[](Event event) { return counts[static_cast<size_t>(event)]; }
  uint64_t begun() const { return (*this)[Event::opened] + (*this)[Event::restored]; }
  uint64_t ended() const;
  Tally& operator+=(const Tally& other);
  Tally operator-(const Tally& earlier) const;
  bool operator==(const Tally&) const = default;
};

// A tally, and how much of it was sessions whose clients had come back at least once: crawlers and probes
// that keep no cookies never do.
struct Books {
  Tally all, returned;

  void count(Event event, bool had_returned, uint64_t times = 1) {
    all[event] += times;
    if (had_returned) returned[event] += times;
  }
  Books& operator+=(const Books& other);
  Books operator-(const Books& earlier) const;
  bool operator==(const Books&) const = default;
};

}  // namespace limpet::routing
