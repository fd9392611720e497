// What waits for a client to take it, and whether it does: in `timeouts.body` it has to take as many bytes a
// second, at least, as one has to send.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "conf/settings.h"
#include "src/net/deadlines.h"

namespace limpet::proxy {

class Lag {
 public:
  // For so much, from now on until then.
  void wait(size_t queued, net::Millis until) {
    left_ = queued;
    until_ = until;
  }
  // And `deadline` is set to that.
  void wait(size_t queued, net::Millis until, net::Deadline& deadline) {
    deadline.set(until);
    wait(queued, until);
  }
  // Whether what was waited for last still is, by the number of bytes that wait now.
  bool goes_on(size_t queued) const { return left_ != 0 && queued != 0; }
  net::Millis left(net::Millis now) const { return until_ > now ? until_ - now : 0; }
  void end() { left_ = 0; }  // what waits from now on is waited for anew

  // After `timeouts.body`: that went on.
  bool is_taken(size_t queued, const conf::ClientTimeouts& timeouts) const {
    const uint64_t due = timeouts.body_rate * static_cast<uint64_t>(timeouts.body.count()) / 1000;
    return queued != 0 && queued + std::max<uint64_t>(due, 1) <= left_;
  }

 private:
  size_t left_ = 0;
  net::Millis until_ = 0;
};

}  // namespace limpet::proxy
