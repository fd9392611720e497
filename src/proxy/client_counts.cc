#include "src/proxy/client_counts.h"

#include "src/secrets.h"

namespace limpet::proxy {

// By a secret of this listener in this process alone: nobody can choose who is counted beside it.
ClientCounts::ClientCounts() : hash_(random_secret()) {}

uint64_t ClientCounts::key_of(const conf::IpAddress& client) const {
  const conf::IpAddress one = client.of_one_client();
  return hash_.of(conf::AffinityKind::ip,
                  {reinterpret_cast<const char*>(one.bytes.data()), one.bytes.size()});
}

std::optional<ConnectionLimit> ClientCounts::add(uint64_t client, const conf::ListenerLimits& limits,
                                                 uint64_t now_us) {
  if (const uint32_t rate = limits.new_connections_per_second; rate != 0) {
    if (rates().take(client, now_us, routing::Rate::of(rate, rate)) != 0)
      return ConnectionLimit::new_connections_per_second;
  }
  if (limits.connections_per_client == 0) return std::nullopt;
  Shard& shard = shard_of(client);
  const std::lock_guard lock(shard.mutex);
  const auto [entry, is_new] = shard.connections.try_emplace(client, 0);
  if (entry->second >= limits.connections_per_client) return ConnectionLimit::connections_per_client;
  ++entry->second;
  return std::nullopt;
}

void ClientCounts::remove(uint64_t client) {
  Shard& shard = shard_of(client);
  const std::lock_guard lock(shard.mutex);
  const auto entry = shard.connections.find(client);
  if (--entry->second == 0) shard.connections.erase(entry);
}

size_t ClientCounts::clients() const {
  size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.connections.size();
  }
  return sum;
}

routing::Rates& ClientCounts::rates() {
  std::call_once(rates_made_, [this] { rates_ = std::make_unique<routing::Rates>(); });
  return *rates_;
}

}  // namespace limpet::proxy
