// A connection's place among those that its listener has, and among those that its client has there.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "conf/settings.h"
#include "src/proxy/plan.h"

namespace limpet::proxy {

// Given back when this ends; or none.
class Admission {
 public:
  Admission() = default;
  Admission(Admission&& other) noexcept { *this = std::move(other); }
  Admission& operator=(Admission&& other) noexcept;
  ~Admission() { give_back(); }

  // At the listener, which outlives it. False: that has as many connections as it takes.
  bool take(ListenerMeter& listener, const conf::ListenerLimits& limits);
  // And as the client's, once it is known whose the connection is: the limit that this would break, or none.
  std::optional<ConnectionLimit> take(const conf::IpAddress& client, const conf::ListenerLimits& limits,
                                      uint64_t now_us);
  void give_back();

 private:
  ListenerMeter* listener_ = nullptr;
  std::optional<uint64_t> client_;  // counted, by this key
};

}  // namespace limpet::proxy
