// One line of the access log for each request, as JSON or in the combined format.
//
// Whatever a client sent, a line is one line: a JSON line is valid JSON (RFC 8259) in valid UTF-8, a combined
// line is printable ASCII. Formatting writes to memory the caller owns and allocates nothing.
//
// Why no JSON library: a line of a typical request takes 90 ns here and 6 us as an nlohmann::json object that
// is filled and dumped (tests/bench/access_format.cc); a whole request costs the proxy about 15 us.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "conf/settings.h"

namespace limpet {

// What is known about a request when it is over. Views are valid during the call only; empty means "not
// known".
struct AccessRecord {
  uint64_t time_us = 0;     // Unix time at which the request's head was whole, microseconds
  std::string_view client;  // address text, after PROXY protocol and trusted proxies
  std::string_view listener;
  std::string_view method;
  std::string_view target;
  std::string_view host;
  std::string_view protocol;  // "HTTP/1.1"
  std::string_view referer;
  std::string_view user_agent;
  int status = 0;           // 499: the client got no answer
  uint64_t bytes_in = 0;    // of the body, from the client
  uint64_t bytes_out = 0;   // of the body, to the client
  int64_t queued_us = -1;   // until there was a place at its backend, or none any more; -1: it did not wait
  int64_t connect_us = -1;  // for a backend connection to stand; -1: did not happen
  int64_t head_us = -1;     // since time_us, to the head of the backend's answer; -1: did not happen
  int64_t total_us = -1;    // since time_us
  std::string_view pool;
  std::string_view backend;
  std::string_view affinity;
  std::string_view reason;  // why this backend
  uint32_t retries = 0;
  std::string_view request_id;
  std::string_view trace_id;  // hexadecimal digits; empty: none
  std::string_view end;       // "ok", "client_gone", "backend_cut", "backend_timeout", ...
};

// Remembers the text of the second it wrote last. One for each thread.
class AccessFormatter {
 public:
  explicit AccessFormatter(conf::AccessFormat format) : format_(format) {}

  // Bytes that write() may need for this record at most.
  static size_t most_bytes(const AccessRecord& record);

  // Writes the line, with its newline, to `to`, which has room for most_bytes(); returns the end of what it
  // wrote.
  char* write(const AccessRecord& record, char* to);

 private:
  char* write_json(const AccessRecord& record, char* to) const;
  char* write_combined(const AccessRecord& record, char* to) const;
  void remember(uint64_t second);

  static constexpr size_t kJsonDate = 19;      // 2025-01-31T23:59:59
  static constexpr size_t kCombinedDate = 20;  // 31/Jan/2025:23:59:59

  conf::AccessFormat format_;
  uint64_t second_ = UINT64_MAX;   // Unix time of date_
  char date_[kCombinedDate] = {};  // in the format's own form
};

}  // namespace limpet
