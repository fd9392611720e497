// What the status endpoint answers to each request: which paths there are, what they take, who may, and the
// words. Knows no sockets. docs/status.md tells the same to people. Any thread may ask.
#pragma once

#include <string>
#include <vector>

#include "src/status/ask.h"
#include "src/status/control.h"
#include "src/status/guard.h"
#include "src/status/path.h"

namespace limpet::status {

class Endpoint {
 public:
  // `control` outlives it. `token`: for what changes anything; empty where none is needed.
  Endpoint(Control& control, std::string_view token);

  void require(std::string_view token) { guard_.require(token); }

  Answer answer(const Ask& ask);
  // Whether the answer is there without asking `control`, which may take time.
  static bool answers_at_once(const Ask& ask) { return ask.target == "/healthz"; }

  // One server-sent event with the report of now.
  std::string event();

 private:
  struct Route;
  static const std::vector<Route>& routes();
  // The values of a route's {…}, in order, and the query.
  struct Given {
    std::vector<std::string> values;
    const Path& path;
    const Ask& ask;
  };

  Answer status(const Given& given);
  Answer pools(const Given& given);
  Answer pool(const Given& given);
  Answer backend(const Given& given);
  Answer incidents(const Given& given);
  Answer session(const Given& given);
  Answer health(const Given& given);
  Answer readiness(const Given& given);
  Answer metrics(const Given& given);
  Answer events(const Given& given);
  Answer page(const Given& given);
  Answer order(const Given& given);
  Answer unbind(const Given& given);
  Answer pin(const Given& given);
  Answer reload(const Given& given);

  Control& control_;
  Guard guard_;
  const std::string page_policy_;
};

}  // namespace limpet::status
