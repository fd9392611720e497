// Time, as exchanges need it: monotonic for durations, the wall clock for tokens, logs and Date. A test
// passes in its own.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace limpet::proxy {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t monotonic_us();
  virtual uint64_t unix_us();

  // The wall clock as an HTTP date (RFC 9110, section 5.6.7), made once a second. Valid until the next call.
  std::string_view http_date(uint64_t unix_us);

 private:
  uint64_t second_ = ~uint64_t{0};
  std::string date_;
};

}  // namespace limpet::proxy
