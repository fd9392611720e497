// What the status endpoint asks of the balancer. Any thread may call: what is asked is done on the balancer's
// main thread, and waited for.
#pragma once

#include <string>
#include <vector>

#include "health/judge.h"
#include "src/status/report.h"

namespace limpet::status {

class Control {
 public:
  virtual Report report(size_t most_incidents) = 0;  // with the newest of them

  // What the order led to, in words ("app-1 of shop is draining: 184 sessions left"), or what is wrong.
  struct Done {
    bool good = false;
    int status = 200;  // for HTTP: 404 unknown, 409 makes no sense now, 503 shutting down
    std::string text;
  };
  virtual Done order(const std::string& pool, const std::string& backend, health::Order order,
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

// 404 for a pool or a backend that there is not, with the nearest of the names that there are.
Control::Done unknown(const std::string& what, const std::string& name,
                      const std::vector<std::string>& names);

}  // namespace limpet::status
