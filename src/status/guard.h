// Who may ask the status endpoint what.
//
// Whoever can connect may read. What changes anything needs the token, where one is configured.
//
// A browser on this machine, or in this network, can connect as well, and the pages in it come from anywhere:
//   - a page can post to another origin, unless the request has a field that pages may not set without being
//     asked beforehand (a CORS preflight, which nothing here ever grants): Authorization, or X-Limpet where
//     there is no token;
//   - a page whose name is made to resolve to our address (DNS rebinding) shares our origin and can do all
//     that, but its Host gives it away: a public name. So Host has to be an IP address, or a name that nobody
//     outside can own: localhost, one without a dot, this machine's. A request with the token may call us
//     as it likes, and so may one by TLS: before it sent anything, its browser saw a certificate of that
//     name.
//
// Any thread may ask.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "src/status/ask.h"

namespace limpet::status {

class Guard {
 public:
  explicit Guard(std::string_view token);

  // The token from now on; empty: none is needed.
  void require(std::string_view token);

  // The refusal, if there is one.
  std::optional<Answer> refuse(const Ask& ask, bool changes_something) const;

  // For the log: "alice from 127.0.0.1".
  static std::string who(const Ask& ask);

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest digest(std::string_view text);
  std::optional<Digest> token() const;
  static bool shows(const std::optional<Digest>& token, const Ask& ask);
  bool is_ours(std::string_view host) const;

  mutable std::mutex mutex_;
  std::optional<Digest> token_;  // guarded by mutex_
  const std::string machine_;    // its name
};

}  // namespace limpet::status
