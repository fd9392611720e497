#include "src/proxy/clock.h"

namespace limpet::proxy {

namespace {
uint64_t read_clock(clockid_t which) {
  timespec now;
  clock_gettime(which, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000;
}
}  // namespace

uint64_t Clock::monotonic_us() { return read_clock(CLOCK_MONOTONIC); }
uint64_t Clock::unix_us() { return read_clock(CLOCK_REALTIME); }

std::string_view Clock::http_date(uint64_t unix_us) {
  const uint64_t second = unix_us / 1'000'000;
  if (second != second_) {
    second_ = second;
    const auto time = static_cast<time_t>(second);
    tm parts;
    gmtime_r(&time, &parts);
    char text[40];
    date_.assign(text, strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
  }
  return date_;
}

}  // namespace limpet::proxy
