// How slowly a request's body comes, by the time that its client alone took: while the backend lags, nobody
// waits for the client.
#pragma once

#include <cstdint>

#include "src/net/deadlines.h"

namespace limpet::proxy {

class UploadPace {
 public:
  void await(net::Millis now) {  // more can be taken from now on, if it could not before
    if (since_ == net::kNever) since_ = now;
  }
  void came(net::Millis now) {  // what was waited for
    if (since_ != net::kNever) waited_ += now - since_;
    since_ = net::kNever;
  }
  void excuse() { since_ = net::kNever; }  // nothing could be taken since the last of it came
  bool awaits() const { return since_ != net::kNever; }

  // How much longer the client may be waited for: `grace`, and a second for each `rate` bytes that it sent.
  net::Millis left(net::Millis now, net::Millis grace, uint64_t bytes, uint64_t rate) const {
    const net::Millis allowed = grace + bytes / rate * 1000 + bytes % rate * 1000 / rate;
    const net::Millis waited = waited_ + (awaits() ? now - since_ : 0);
    return waited < allowed ? allowed - waited : 0;
  }

 private:
  net::Millis waited_ = 0;
  net::Millis since_ = net::kNever;  // kNever: it is not waited for
};

}  // namespace limpet::proxy
