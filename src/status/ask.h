// One request to the status endpoint and its answer, as values.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limpet::status {

// Views into the request's bytes, or into those of a KeptAsk.
struct Ask {
  std::string_view method;
  std::string_view target;           // in origin-form, or "*"
  std::string_view host;             // with its port; empty where an HTTP/1.0 client said none
  std::string_view authorization{};  // the field's value
  std::string_view on_behalf{};      // X-Limpet: who wants the change
  std::string peer{};                // the client's address
  bool tls = false;                  // it came over TLS
};

// One that outlives the request.
struct KeptAsk {
  explicit KeptAsk(const Ask& ask)
      : method(ask.method),
        target(ask.target),
        host(ask.host),
        authorization(ask.authorization),
        on_behalf(ask.on_behalf),
        peer(ask.peer),
        tls(ask.tls) {}
  Ask view() const { return {method, target, host, authorization, on_behalf, peer, tls}; }

  std::string method, target, host, authorization, on_behalf, peer;
  bool tls;
};

struct Answer {
  int status = 200;
  std::string_view type = "application/json";  // lives as long as the program
  std::string body;
  std::vector<std::pair<std::string_view, std::string>> fields{};  // beside those that every answer has
  bool events = false;                                             // the body is what comes from now on
  bool last = false;                                               // the connection ends after it
};

// {"error": text}
Answer failure(int status, std::string_view text);

}  // namespace limpet::status
