// The limit of open files, and who may have the last of them.
//
// The kernel gives out the lowest number that is free (POSIX, open()): a new descriptor's own number says
// that all below it are taken, so nobody has to count. Clients are refused first, then connections to
// backends; what is left is for what an operator needs then above all: the status endpoint, the logs, a
// reload with its new sockets, checks, and looking up names.
#pragma once

#include <array>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>

namespace limpet::net {

// No bound: for whoever may have the last descriptor.
inline constexpr int kAnyDescriptor = INT_MAX;

// Whether a negative errno is about what this machine or process lacks, so that no peer is to blame.
bool is_shortage(int error);
// Whether it tells nothing of the peer: a shortage, or what this machine forbids or cannot reach by itself.
bool is_local(int error);

// Constant, or thread-safe.
class Descriptors {
 public:
  // The status endpoint has this many connections at most, and fewer where the limit is low.
  static constexpr size_t kMostForStatus = 64;

  // `limit`: of descriptors of this process (RLIMIT_NOFILE).
  explicit Descriptors(uint64_t limit);

  // Numbers of connections from clients, and to backends, are below these.
  int for_clients() const { return clients_; }
  int for_backends() const { return backends_; }
  // As many connections leave half of what is kept for operators to logs, reloads, checks and names.
  size_t for_status() const { return status_; }

  // What came of a shortage.
  enum class Shortage : uint8_t {
    refused,   // a client's connection was
    deferred,  // clients' connections wait to be accepted
    undialed,  // a connection to a backend was not made
  };
  // Counts it, and says so in the log, in one line every kLogEvery at most. `error` is a negative errno.
  void met(Shortage what, int error);
  uint64_t refused() const {
    return counts_[static_cast<size_t>(Shortage::refused)];
  }  // clients, since the start

 private:
  static constexpr size_t kShortages = 3;
  bool is_time_to_log();

  const int limit_, backends_, clients_;
  const size_t status_;
  std::array<std::atomic<uint64_t>, kShortages> counts_{};
  std::array<std::atomic<uint64_t>, kShortages> logged_{};  // of these
  std::atomic<int64_t> log_at_{0};                          // the steady clock's, in milliseconds
};

}  // namespace limpet::net
