#include "src/net/descriptors.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>

#include "conf/spelling.h"

namespace limpet::net {

namespace {

constexpr int64_t kLogEvery = 10'000;  // milliseconds: a shortage that lasts fills no log

// For operators an eighth of the limit: 16 see 8 connections to the status endpoint, a log, a file, a few
// sockets and lookups; beyond 256 there is nothing that would take more.
constexpr int kLeastForOperators = 16, kMostForOperators = 256;
// For backends another eighth. Clients that are idle need none, and those that are not mostly share them; a
// request that finds none is answered 503.
constexpr int kLeastForBackends = 8;

int for_operators(int limit) { return std::clamp(limit / 8, kLeastForOperators, kMostForOperators); }

int capped(uint64_t limit) { return static_cast<int>(std::min<uint64_t>(limit, INT_MAX)); }

std::string advice(int error, int limit) {
  if (error == -EMFILE)
    return "; raise the limit of open files, which is " + std::to_string(limit) +
           " (ulimit -n, LimitNOFILE=)";
  if (error == -ENFILE) return "; raise this machine's limit of open files (sysctl fs.file-max)";
  return "";
}

}  // namespace

bool is_shortage(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

bool is_local(int error) {
  constexpr int kRemote[] = {ECONNREFUSED, ECONNRESET,   ECONNABORTED, EPIPE,
                             ETIMEDOUT,    EHOSTUNREACH, EHOSTDOWN,    ENETUNREACH,
                             ENOENT,   // no such unix socket
                             EAGAIN};  // its queue is full
  return std::find(std::begin(kRemote), std::end(kRemote), -error) == std::end(kRemote);
}

Descriptors::Descriptors(uint64_t limit)
    : limit_(capped(limit)),
      backends_(std::max(limit_ - for_operators(limit_), 0)),
      clients_(std::max(backends_ - std::max(limit_ / 8, kLeastForBackends), 0)),
      status_(std::min(static_cast<size_t>(for_operators(limit_)) / 2, kMostForStatus)) {}

void Descriptors::met(Shortage what, int error) {
  counts_[static_cast<size_t>(what)].fetch_add(1, std::memory_order_relaxed);
  if (!is_time_to_log()) return;
  std::array<uint64_t, kShortages> since_last;
  for (size_t i = 0; i < kShortages; ++i) {
    const uint64_t count = counts_[i];
    since_last[i] = count - logged_[i].exchange(count);
  }
  const auto [refused, deferred, undialed] = since_last;
  spdlog::warn("{}: {} of clients refused, accepting put off {}, {} to backends not made{}",
               std::strerror(-error), conf::counted(refused, "connection"),
               deferred == 1 ? "once" : conf::counted(deferred, "time"),
               conf::counted(undialed, "connection"), advice(error, limit_));
}

// True for one caller, of whatever thread.
bool Descriptors::is_time_to_log() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  const int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  int64_t due = log_at_.load(std::memory_order_relaxed);
  return now >= due && log_at_.compare_exchange_strong(due, now + kLogEvery);
}

}  // namespace limpet::net
