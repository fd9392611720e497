#include "conf/settings.h"

#include <algorithm>

namespace limpet::conf {

bool Address::is_loopback() const {
  const auto ip = kind == Kind::ip ? IpAddress::parse(host) : std::nullopt;
  return ip && ip->is_loopback();
}

std::string Address::text() const {
  if (kind == Kind::unix_socket) return "unix:" + host;
  const bool needs_brackets = host.find(':') != host.npos;  // or the port could not be told from the address
  return (needs_brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Address::authority() const { return kind == Kind::unix_socket ? "localhost" : text(); }

bool contain(const std::vector<StatusRange>& ranges, int status) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [status](const StatusRange& range) { return range.contains(status); });
}

bool Pool::uses(AffinityKind kind) const {
  return std::find(affinity.begin(), affinity.end(), kind) != affinity.end();
}

std::string Pool::cookie_name() const { return cookie.name.empty() ? "limpet_" + name : cookie.name; }

}  // namespace limpet::conf
