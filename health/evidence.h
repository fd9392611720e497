// What is known of a backend from outside: what requests to it came to, and what it said when it was asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "health/change.h"

namespace limpet::health {

// What one request tells. It is told once for each backend that it was tried at, however often.
struct Evidence {
  enum class Kind : uint8_t {
    failed,    // no connection, no answer in time, no HTTP, or an end before the answer's
    doubtful,  // answered 502, 503 or 504, which is what a proxy says whose server does not answer
    waits,     // the whole request has been there for long, and nothing came
  };
  Kind kind = Kind::failed;
  uint64_t client = 0;   // of its believed address, masked; the same for nobody else
  Millis at = 0;         // failed, doubtful: when; waits: since when
  const char* how = "";  // failed: "no answer in time"; static
  bool refused = false;  // failed: nobody listens where the backend should
};

// The requests that a backend answered well, or began to, where an answer has no end.
struct Answered {
  Millis begun = 0;  // of those the latest: when it was sent
  Millis at = 0;     // when the last answer came; 0: there was none
};

struct CheckResult {
  enum class Kind : uint8_t {
    pass,
    fail,
    timeout,  // nothing wrong came, but not all that had to come in time
    drain,    // it passed, and asks to be drained
    unasked,  // it could not be asked, which is no verdict
  };
  Kind kind = Kind::pass;
  std::string detail;                  // what failed, what asks, or why it could not be asked
  bool refused = false;                // fail: nobody listens where the backend should
  bool connected = false;              // somebody listens
  bool foreign = false;                // fail: who speaks another protocol, whatever is asked
  std::optional<uint64_t> instance{};  // the value of the answer's `instance_header`, hashed; none: missing
  bool failed() const { return kind == Kind::fail || kind == Kind::timeout; }
};

}  // namespace limpet::health
