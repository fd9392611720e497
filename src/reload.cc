#include "src/reload.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace limpet {

std::vector<std::string> needs_restart(const conf::Settings& now, const conf::Settings& next) {
  std::vector<std::string> keys;
  const auto note = [&](bool changed, std::string key) {
    if (changed) keys.push_back(std::move(key));
  };
  note(next.workers != now.workers, "workers");
  note(next.user != now.user, "user");
  note(next.secrets != now.secrets, "secrets");
  note(next.status.address != now.status.address, "status.address");
  note(next.log.access != now.log.access, "log.access");
  note(next.log.access_format != now.log.access_format, "log.access_format");
  std::unordered_map<std::string_view, const conf::Pool*> known;
  for (const conf::Pool& pool : now.pools) known.emplace(pool.name, &pool);
  for (const conf::Pool& pool : next.pools) {
    const auto found = known.find(pool.name);
    if (found == known.end()) continue;
    for (const std::string& key : changed_keys(*found->second, pool))
      keys.push_back("pool " + pool.name + ": " + key);
  }
  return keys;
}

std::vector<std::string> changed_keys(const conf::Pool& now, const conf::Pool& next) {
  using enum conf::AffinityKind;
  if (next.affinity != now.affinity) return {"affinity"};
  std::vector<std::string> keys;
  if (next.uses(ip) && next.ip.mask_v4 != now.ip.mask_v4) keys.push_back("ip.mask_v4");
  if (next.uses(ip) && next.ip.mask_v6 != now.ip.mask_v6) keys.push_back("ip.mask_v6");
  if (next.uses(cookie) && next.cookie_name() != now.cookie_name()) keys.push_back("cookie.name");
  // A place where ids are found may be added after the others; without one, or behind another, known ids are
  // not found again.
  const auto &known = now.session_id.sources, &named = next.session_id.sources;
  if (next.uses(session_id) &&
      (known.size() > named.size() || !std::equal(known.begin(), known.end(), named.begin())))
    keys.push_back("session_id.sources");
  return keys;
}

}  // namespace limpet
