// What waits for a client to take it, and whether it does: in `timeouts.body` it has to take as many bytes a
// second, at least, as one has to send.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "conf/settings.h"

namespace limpet::proxy {

class Lag {
 public:
  void wait(size_t queued) { left_ = queued; }  // for so much, from now on

  // After `timeouts.body`: that went on.
  bool is_taken(size_t queued, const conf::ClientTimeouts& timeouts) const {
    const uint64_t due = timeouts.body_rate * static_cast<uint64_t>(timeouts.body.count()) / 1000;
    return queued != 0 && queued + std::max<uint64_t>(due, 1) <= left_;
  }

 private:
  size_t left_ = 0;
};

}  // namespace limpet::proxy
