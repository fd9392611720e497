// Settings outside of pools that exclude each other or would have no effect.
#include "conf/checks.h"

namespace limpet::conf {
namespace {

void check_secrets(const Secrets& secrets, Findings& findings) {
  const bool keys = findings.given("secrets.keys"), hash_secret = findings.given("secrets.hash_secret");
  if (keys != hash_secret) {
    findings.fault(
        keys ? "secrets.hash_secret" : "secrets.keys",
        "is missing, accepted: `keys` and `hash_secret` together, or neither, for both to be in `key_file`");
  }
  if ((keys || hash_secret) && findings.given("secrets.key_file")) {
    findings.fault("secrets.key_file",
                   "has no effect beside `keys` and `hash_secret`, accepted: either it or these two");
  }
  if (keys && secrets.keys.empty() && !findings.broken("secrets.keys")) {
    findings.fault("secrets.keys", "is empty, accepted: 1 to 8 keys");
  }
  std::vector<Placed> placed;
  for (size_t i = 0; i < secrets.keys.size(); ++i) {
    std::string path = indexed("secrets.keys", i);
    if (!findings.broken(path)) placed.push_back({std::move(path), secrets.keys[i]});
  }
  refuse_repeats(placed, "each key once", findings);
}

// Whether a connection to the one may reach the other.
bool overlap(const Address& a, const Address& b) {
  const auto is_any = [](const Address& address) {
    return address.host == "*" || address.host == "0.0.0.0" || address.host == "::";
  };
  return a.port == b.port && a.port != 0 && (a.host == b.host || is_any(a) || is_any(b));
}

void check_status_access(const Status& status, Findings& findings) {
  const bool token = findings.given("status.token"), token_file = findings.given("status.token_file");
  if (token && token_file)
    findings.fault("status.token_file", "has no effect beside `token`, accepted: either of the two");
  if (findings.broken("status.address")) return;
  if (status.address) {
    if (token || token_file || status.address->is_loopback()) return;
    findings.fault(
        "status.address",
        "lets whoever gets there drain backends, accepted: a loopback address, or with a `token` or "
        "`token_file`");
    return;
  }
  for (const char* key : {"status.token", "status.token_file", "status.tls"}) {
    if (!findings.given(key) || findings.broken(key)) continue;
    findings.fault(key, "has no effect while `status.address` is \"off\", accepted: only with an address");
  }
}

void check_status_address(const Settings& settings, Findings& findings) {
  if (!settings.status.address || findings.broken("status.address")) return;
  const bool is_said = findings.given("status.address");
  for (size_t i = 0; i < settings.listeners.size(); ++i) {
    const std::string path = indexed("listener", i) + ".address";
    if (findings.broken(path) || !overlap(settings.listeners[i].address, *settings.status.address)) continue;
    if (is_said) {
      findings.fault("status.address", "is taken by " + path + " in line " +
                                           std::to_string(findings.position(path).line) +
                                           ", accepted: an address of its own");
      return;
    }
    findings.fault(path, "is taken by `status.address`, " + settings.status.address->text() +
                             " by default, accepted: another address for one of the two");
  }
}

void check_proxy_peers(const Settings& settings, Findings& findings) {
  for (size_t i = 0; i < settings.listeners.size(); ++i) {
    const Listener& listener = settings.listeners[i];
    const std::string path = indexed("listener", i), key = path + ".proxy_protocol_from";
    if (listener.proxy_protocol || listener.proxy_protocol_from.empty()) continue;
    if (findings.broken(path + ".proxy_protocol") || findings.broken(key)) continue;
    findings.fault(key, "has no effect, accepted: only with proxy_protocol = true");
  }
}

void check_redirects(const Settings& settings, Findings& findings) {
  for (size_t i = 0; i < settings.listeners.size(); ++i) {
    const Listener& listener = settings.listeners[i];
    const std::string key = indexed("listener", i) + ".redirect_to_https";
    if (!listener.redirect_to_https || !listener.tls || findings.broken(key)) continue;
    findings.fault(key, "has no effect, accepted: only on a listener without TLS");
  }
}

}  // namespace

void check_effects(const Settings& settings, Findings& findings) {
  const auto given = [&](const std::string& path) { return findings.given(path) && !findings.broken(path); };
  check_secrets(settings.secrets, findings);
  check_status_access(settings.status, findings);
  check_status_address(settings, findings);
  check_proxy_peers(settings, findings);
  check_redirects(settings, findings);
  const Limits& limits = settings.limits;
  if (given("limits.target") && limits.target > limits.head && !findings.broken("limits.head")) {
    findings.fault("limits.target",
                   "has no effect above `limits.head`, which counts the target too, accepted: at most that");
  }
  if (given("log.access_format") && settings.log.access == "off") {
    findings.fault("log.access_format",
                   "has no effect while `log.access` is \"off\", accepted: only with an access log");
  }
}

}  // namespace limpet::conf
