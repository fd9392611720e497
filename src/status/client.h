// A client of the status endpoint, for the commands: one request at a time, each on a connection of its own,
// waited for.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "conf/settings.h"
#include "src/net/tls_connector.h"

namespace limpet::status {

struct Where {
  conf::Address address;
  bool tls = false;
};

class Client {
 public:
  static constexpr std::chrono::seconds kPatience{10};  // until an answer is there as a whole
  static constexpr size_t kMostBody = 64 * 1024 * 1024;

  struct Reply {
    int status = 0;
    std::string body;
  };

  // `token` and `who` may be empty. `trust`: who is believed to be at the address, by TLS, as Channel does;
  // nullptr: it is asked plainly.
  Client(conf::Address address, std::string token, std::string who, net::SharedTlsTrust trust = nullptr);

  // The answer, or why there is none, in words.
  std::variant<Reply, std::string> send(std::string_view method, const std::string& target) const;

 private:
  const conf::Address address_;
  const std::string token_, who_;
  const net::SharedTlsTrust trust_;
};

// "127.0.0.1:9180", "[::1]:9180", "lb1:9180", with "http://" or "https://" before it, or neither: then it is
// by TLS if `tls` says so. nullopt: it is none of these.
std::optional<Where> parse_where(std::string_view text, bool tls = false);

}  // namespace limpet::status
