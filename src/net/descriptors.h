// The limit of open files, and who may have the last of them.
//
// The kernel gives out the lowest number that is free (POSIX, open()): a new descriptor's own number says
// that all below it are taken, so nobody has to count. Clients are refused first, then connections to
// backends; what is left is for what an operator needs then above all: the status endpoint, the logs, a
// reload with its new sockets, checks, and looking up names.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/net/now_and_then.h"

namespace limpet::net {

// No bound: for whoever may have the last descriptor.
inline constexpr int kAnyDescriptor = INT_MAX;

// What a dial tells where all ports of this machine towards that address are taken.
inline constexpr int kNoPortLeft = -EADDRNOTAVAIL;

// Whether a negative errno is about what this machine or process lacks, so that no peer is to blame.
bool is_shortage(int error);
// Whether it tells nothing of the peer: a shortage, or what this machine forbids or cannot reach by itself.
bool is_local(int error);
bool is_refused(int error);  // nobody listens there

// How many files this process may have open, now (RLIMIT_NOFILE).
uint64_t file_limit();
void raise_file_limit();  // as far as this process may

// Keeps connections for later.
class Keeper {
 public:
  // Somebody lacks what they hold: gives up those that nobody uses, of descriptors below this number. From
  // any thread, and again and again while that lasts.
  virtual void make_room(int below) = 0;

 protected:
  ~Keeper() = default;
};

// Constant, or thread-safe.
class Descriptors {
 public:
  // The status endpoint has this many connections at most, and fewer where the limit is low.
  static constexpr size_t kMostForStatus = 64;

  // `limit` tells how many descriptors there may be, now: file_limit(), but for tests.
  explicit Descriptors(std::function<uint64_t()> limit);

  // Before anything is short. The keeper lives until nobody meets a shortage any more.
  void add(Keeper& keeper) { keepers_.push_back(&keeper); }

  // Numbers of connections from clients, and to backends, are below these.
  int for_clients() const;
  int for_backends() const;
  int limit() const { return limit_.load(std::memory_order_relaxed); }
  void look_again() { limit_ = capped(); }  // it may have been changed, and is not told
  // What is wrong where clients may have so many connections, by listeners' limits; empty: nothing.
  std::string too_few_for(uint64_t connections) const;
  // As many connections leave half of what is kept for operators to logs, reloads, checks and names.
  size_t for_status() const;

  // Clients have nearly all that they may have: asks the keepers to make room for more.
  void running_out();

  // What came of a shortage.
  enum class Shortage : uint8_t {
    refused,   // a client's connection was
    deferred,  // clients' connections wait to be accepted
    undialed,  // a connection to a backend was not made
    unasked,   // a backend was not checked
  };
  // Counts it, asks the keepers to make room, and says so in the log now and then.
  // `error` is a negative errno.
  void met(Shortage what, int error);
  // Clients, since the start.
  uint64_t refused() const { return counts_[static_cast<size_t>(Shortage::refused)]; }

 private:
  static constexpr size_t kShortages = 4;
  int capped() const;
  void ask_for_room(int below);

  const std::function<uint64_t()> read_limit_;
  std::atomic<int> limit_;
  std::vector<Keeper*> keepers_;
  std::array<std::atomic<uint64_t>, kShortages> counts_{};
  std::array<std::atomic<uint64_t>, kShortages> logged_{};  // of these
  NowAndThen log_{std::chrono::seconds(10)};                // a shortage that lasts fills no log
  NowAndThen ask_{std::chrono::milliseconds(100)};          // what is given up is looked for no more often
};

}  // namespace limpet::net
