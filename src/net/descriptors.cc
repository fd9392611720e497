#include "src/net/descriptors.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "conf/spelling.h"

namespace limpet::net {

namespace {

// For operators an eighth of the limit: 16 see 8 connections to the status endpoint, a log, a file, a few
// sockets and lookups; beyond 256 there is nothing that would take more.
constexpr int kLeastForOperators = 16, kMostForOperators = 256;
// For backends another eighth. Clients that are idle need none, and those that are not mostly share them; a
// request that finds none is answered 503.
constexpr int kLeastForBackends = 8;

int for_operators(int limit) { return std::clamp(limit / 8, kLeastForOperators, kMostForOperators); }

std::string lack(int error) { return error == kNoPortLeft ? "No port is left" : std::strerror(-error); }

std::string advice(int error, int limit) {
  if (error == kNoPortLeft)
    return "; widen the range of ports (sysctl net.ipv4.ip_local_port_range), or let backends keep "
           "connections";
  if (error == -EMFILE)
    return "; raise the limit of open files, which is " + std::to_string(limit) +
           " (ulimit -n, LimitNOFILE=)";
  if (error == -ENFILE) return "; raise this machine's limit of open files (sysctl fs.file-max)";
  return "";
}

}  // namespace

uint64_t file_limit() {
  rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : kAnyDescriptor;
}

void raise_file_limit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_shortage(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM ||
         error == kNoPortLeft;
}

bool is_local(int error) {
  constexpr int kRemote[] = {ECONNREFUSED, ECONNRESET,   ECONNABORTED, EPIPE,
                             ETIMEDOUT,    EHOSTUNREACH, EHOSTDOWN,    ENETUNREACH,
                             ENOENT,   // no such unix socket
                             EPROTO,   // it does not speak what it has to
                             EAGAIN};  // its queue is full
  return std::find(std::begin(kRemote), std::end(kRemote), -error) == std::end(kRemote);
}

bool is_refused(int error) { return error == -ECONNREFUSED || error == -ENOENT; }

Descriptors::Descriptors(std::function<uint64_t()> limit) : read_limit_(std::move(limit)), limit_(capped()) {}

int Descriptors::capped() const { return static_cast<int>(std::min<uint64_t>(read_limit_(), INT_MAX)); }

int Descriptors::for_backends() const { return std::max(limit() - for_operators(limit()), 0); }

int Descriptors::for_clients() const {
  return std::max(for_backends() - std::max(limit() / 8, kLeastForBackends), 0);
}

std::string Descriptors::too_few_for(uint64_t connections) const {
  const auto most = static_cast<uint64_t>(for_clients());
  if (connections <= most) return {};
  return "listeners may have " + conf::counted(connections, "connection") +
         " (listener.limits.connections), and the limit of open files leaves clients " +
         std::to_string(most) + advice(-EMFILE, limit());
}

size_t Descriptors::for_status() const {
  return std::min(static_cast<size_t>(for_operators(limit())) / 2, kMostForStatus);
}

void Descriptors::met(Shortage what, int error) {
  counts_[static_cast<size_t>(what)].fetch_add(1, std::memory_order_relaxed);
  if (error == -EMFILE) look_again();
  if (ask_.is_time()) {
    // Of whoever is refused by the reserves those below them would do; where the kernel gives no descriptor
    // at all, any. A port is held by a connection to a backend alone.
    const bool any = error != kNoPortLeft && (what == Shortage::deferred || what == Shortage::unasked);
    ask_for_room(any ? kAnyDescriptor : what == Shortage::refused ? for_clients() : for_backends());
  }
  if (!log_.is_time()) return;
  std::array<uint64_t, kShortages> since_last;
  for (size_t i = 0; i < kShortages; ++i) {
    const uint64_t count = counts_[i];
    since_last[i] = count - logged_[i].exchange(count);
  }
  const auto [refused, deferred, undialed, unasked] = since_last;
  spdlog::warn(
      "{}: {} of clients refused, accepting put off {}, {} to backends not made, {} not asked{}", lack(error),
      conf::counted(refused, "connection"), deferred == 1 ? "once" : conf::counted(deferred, "time"),
      conf::counted(undialed, "connection"), conf::counted(unasked, "check"), advice(error, limit()));
}

void Descriptors::running_out() {
  if (ask_.is_time()) ask_for_room(for_clients());
}

void Descriptors::ask_for_room(int below) {
  for (Keeper* const keeper : keepers_) keeper->make_room(below);
}

}  // namespace limpet::net
