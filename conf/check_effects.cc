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

}  // namespace

void check_effects(const Settings& settings, Findings& findings) {
  const auto given = [&](const std::string& path) { return findings.given(path) && !findings.broken(path); };
  check_secrets(settings.secrets, findings);
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
