#include "src/status/guard.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <unistd.h>

#include "conf/ascii.h"
#include "conf/ip_address.h"
#include "conf/spelling.h"

namespace limpet::status {

namespace {

constexpr std::string_view kScheme = "Bearer ";
constexpr size_t kLongestName = 64;  // of who asks, in the log

std::string machine_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

std::string_view without_port(std::string_view host) {
  if (!host.starts_with('[')) return host.substr(0, host.find(':'));
  const size_t end = host.find("]:");
  return end == std::string_view::npos ? host : host.substr(0, end + 1);
}

}  // namespace

Guard::Guard(std::string_view token) : machine_(machine_name()) { require(token); }

void Guard::require(std::string_view token) {
  const std::lock_guard lock(mutex_);
  token_ = token.empty() ? std::nullopt : std::optional(digest(token));
}

std::optional<Guard::Digest> Guard::token() const {
  const std::lock_guard lock(mutex_);
  return token_;
}

Guard::Digest Guard::digest(std::string_view text) {
  Digest out;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
  return out;
}

// Digests are of one length and say nothing about where two tokens differ, so that the time tells neither.
bool Guard::shows(const std::optional<Digest>& token, const Ask& ask) {
  if (!token || !equals_ignoring_case(ask.authorization.substr(0, kScheme.size()), kScheme)) return false;
  const Digest given = digest(trimmed(ask.authorization.substr(kScheme.size())));
  return CRYPTO_memcmp(given.data(), token->data(), given.size()) == 0;
}

bool Guard::is_ours(std::string_view host) const {
  if (host.empty()) return true;  // HTTP/1.0: no browser
  host = without_port(host);
  if (host.starts_with('['))
    return host.ends_with(']') && host.size() > 2 && conf::IpAddress::parse(host.substr(1, host.size() - 2));
  if (conf::IpAddress::parse(host)) return true;
  if (host.ends_with('.')) host.remove_suffix(1);
  return host.find('.') == std::string_view::npos || equals_ignoring_case(host, machine_);
}

std::optional<Answer> Guard::refuse(const Ask& ask, bool changes_something) const {
  const std::optional<Digest> token = this->token();
  const bool trusted = shows(token, ask);
  if (!trusted && !ask.tls && !is_ours(ask.host)) {
    return failure(
        403, "the Host " + conf::in_quotes(ask.host) +
                 " is not accepted without the token: call this endpoint by its IP address, as localhost, "
                 "or by a name without dots");
  }
  if (!changes_something || trusted) return std::nullopt;
  if (token) {
    Answer answer =
        failure(401, ask.authorization.empty() ? "this needs the token: Authorization: Bearer TOKEN"
                                               : "the token is wrong");
    answer.fields.emplace_back("WWW-Authenticate", "Bearer realm=\"limpet\"");
    return answer;
  }
  if (ask.on_behalf.empty())
    return failure(
        403, "this needs a field that no foreign page can send: X-Limpet, with who you are as its value");
  return std::nullopt;
}

std::string Guard::who(const Ask& ask) {
  if (ask.on_behalf.empty()) return ask.peer;
  return conf::escaped(ask.on_behalf.substr(0, kLongestName)) + " from " + ask.peer;
}

}  // namespace limpet::status
