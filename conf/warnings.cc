#include "conf/warnings.h"

namespace limpet::conf {

std::vector<std::string> warnings(const Settings& settings) {
  std::vector<std::string> lines;
  const auto& address = settings.status.address;
  if (address && !address->is_loopback() && !settings.status.tls) {
    lines.push_back("status: whoever is on the way to " + address->text() +
                    " can read the token; [status.tls] encrypts it");
  }
  for (const Listener& listener : settings.listeners) {
    if (!listener.proxy_protocol || !listener.proxy_protocol_from.empty() || listener.address.is_loopback())
      continue;
    lines.push_back(
        "listener " + listener.name +
        ": whoever can connect may claim to be anybody, by a PROXY protocol header; name who may in "
        "`proxy_protocol_from`");
  }
  return lines;
}

}  // namespace limpet::conf
