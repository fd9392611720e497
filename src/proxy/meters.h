// What requests tell the metrics. Each worker counts in meters of its own, so that counting costs a plain
// addition; whoever reports adds them up and may see a request that is not counted everywhere yet.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "routing/decision.h"
#include "routing/per_slot.h"

namespace limpet::proxy {

// Counted by one thread, read by any.
class Counter {
 public:
  void add(uint64_t n = 1) { value_.store(value_.load(kRelaxed) + n, kRelaxed); }
  uint64_t value() const { return value_.load(kRelaxed); }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  std::atomic<uint64_t> value_{0};
};

// The latest of some times, kept by one thread, read by any.
class Moment {
 public:
  void add(uint64_t us) { us_.store(std::max(us, this->us()), std::memory_order_relaxed); }
  uint64_t us() const { return us_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> us_{0};
};

// Durations in buckets that double, from up to 64 us to above 67 s.
struct Histogram {
  static constexpr size_t kBuckets = 22;
  static constexpr uint64_t bound_us(size_t bucket) { return uint64_t{64} << bucket; }  // of all but the last

  std::array<Counter, kBuckets> counts;
  Counter sum_us;

  void add(uint64_t us) {
    const auto bucket = static_cast<size_t>(std::bit_width((us - (us != 0)) >> 6));
    counts[bucket < kBuckets ? bucket : kBuckets - 1].add();
    sum_us.add(us);
  }
};

// How a TLS handshake ended. One that its client has not begun with a byte is none, unless it was given up.
enum class HandshakeEnd : uint8_t { full, resumed, failed };
inline constexpr size_t kHandshakeEnds = 3;

// Why a connection of a client was refused: conf::ListenerLimits.
enum class ConnectionLimit : uint8_t { connections, connections_per_client, new_connections_per_second };
inline constexpr size_t kConnectionLimits = 3;
constexpr const char* text(ConnectionLimit limit) {  // its key
  constexpr std::array<const char*, kConnectionLimits> kKeys = {"connections", "connections_per_client",
                                                                "new_connections_per_second"};
  return kKeys[static_cast<size_t>(limit)];
}

// How an attempt at a backend failed.
enum class BackendFailure : uint8_t { connect, closed, timeout, nonsense, status };
inline constexpr size_t kBackendFailures = 5;

struct BackendMeter {
  std::array<Counter, 6> answers;  // by the status' first digit; [0]: none
  std::array<Counter, kBackendFailures> failures;
  Counter failed;   // requests that a client was answered for, or cut, in the backend's place
  Counter retried;  // attempts that were made again, here or elsewhere
  Counter strays;   // connections that were closed because it said something that no request had asked for
  Counter bytes_in, bytes_out;
  Counter begun, ended;  // exchanges
  // Of requests that were answered well, or began to be where an answer has no end: when the latest was sent,
  // and when the latest answer came. Monotonic microseconds.
  Moment answered_begun, answered_at;
  // From when it was turned to until the answer's last byte. How long a tunnel lasts, or a stream of events,
  // says nothing of the backend and is left out.
  Histogram latency;
};

struct PoolMeter {
  static constexpr size_t kReasons = static_cast<size_t>(routing::Reason::no_backend) + 1;

  routing::PerSlot<BackendMeter> backends;
  Counter entered, left;   // requests
  Counter queue_timeouts;  // requests that waited in vain for a place at a backend
  Histogram queue_time;    // of all that waited
  Counter rate_limited;    // requests of clients that sent too many
  // Requests that failed and no one backend is to blame: none there or none with room, a loop.
  Counter unserved;
  std::array<Counter, kReasons> reasons;  // routing decisions
  Histogram decision;                     // how long one took, of every 16th
};

}  // namespace limpet::proxy
