// What the status endpoint asks of the main thread. Any thread may call; each call runs on the main thread
// and is waited for. An answer of text is what was wrong.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/status/report.h"

namespace limpet::status {

enum class BackendOrder : uint8_t { drain, undrain, maintenance, up };

class Control {
 public:
  virtual Report report() = 0;

  // What the order led to, in words ("app-1 of shop is draining: 184 sessions left"), or what is wrong.
  struct Done {
    bool good = false;
    int status = 200;  // for HTTP: 404 unknown, 409 makes no sense now, 503 shutting down
    std::string text;
  };
  virtual Done order(const std::string& pool, const std::string& backend, BackendOrder order,
                     const std::string& who) = 0;
  virtual Done unbind(const std::string& pool, const std::string& session, const std::string& who) = 0;
  virtual Done pin(const std::string& pool, const std::string& session, const std::string& backend,
                   const std::string& who) = 0;
  virtual Done reload(const std::string& who) = 0;  // the text names every fault

  // In every pool where there is one.
  virtual std::vector<SessionReport> find(const std::string& session) = 0;

  virtual bool ready() = 0;  // every pool has a backend that takes new sessions

 protected:
  ~Control() = default;
};

}  // namespace limpet::status
