#include "conf/warnings.h"

#include <algorithm>

namespace limpet::conf {
namespace {

// What a pool says of load, and what it does not say that this would need.
void add_idle_settings(const Pool& pool, std::vector<std::string>& lines) {
  const auto add = [&](bool is_idle, const char* what) {
    if (is_idle) lines.push_back("pool " + pool.name + ": " + what);
  };
  const Pool by_default;
  const bool sheds = pool.shed != Shed::off, by_queue = pool.shed_queue_time != Duration::zero();
  const bool has_queue = std::any_of(pool.backends.begin(), pool.backends.end(),
                                     [](const Backend& backend) { return backend.max_connections != 0; });
  add(sheds && pool.shed_in_flight == 0 && !by_queue,
      "`shed` refuses nobody without `shed_in_flight` or `shed_queue_time`");
  add(!sheds && (pool.shed_in_flight != 0 || by_queue),
      "`shed_in_flight` and `shed_queue_time` do nothing while `shed` is \"off\"");
  add(by_queue && !has_queue, "`shed_queue_time` does nothing where no backend has `max_connections`");
  add(pool.queue_timeout != by_default.queue_timeout && !has_queue,
      "`queue_timeout` does nothing where no backend has `max_connections`");
  add(pool.rate.requests == 0 && pool.rate != by_default.rate,
      "`burst` and `by` of [pool.rate] do nothing without `requests`");
}

}  // namespace

std::vector<std::string> warnings(const Settings& settings) {
  std::vector<std::string> lines;
  const auto& address = settings.status.address;
  if (address && !address->is_loopback() && !settings.status.tls) {
    lines.push_back("status: whoever is on the way to " + address->text() +
                    " can read the token; [status.tls] encrypts it");
  }
  for (const Listener& listener : settings.listeners) {
    const ListenerLimits& limits = listener.limits;
    if (limits.connections != 0 && limits.connections_per_client > limits.connections)
      lines.push_back("listener " + listener.name +
                      ": `connections_per_client` does nothing above `connections`");
    if (!listener.proxy_protocol || !listener.proxy_protocol_from.empty() || listener.address.is_loopback())
      continue;
    lines.push_back(
        "listener " + listener.name +
        ": whoever can connect may claim to be anybody, by a PROXY protocol header; name who may in "
        "`proxy_protocol_from`");
  }
  for (const Pool& pool : settings.pools) add_idle_settings(pool, lines);
  return lines;
}

}  // namespace limpet::conf
