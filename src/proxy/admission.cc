#include "src/proxy/admission.h"

namespace limpet::proxy {

Admission& Admission::operator=(Admission&& other) noexcept {
  give_back();
  listener_ = std::exchange(other.listener_, nullptr);
  client_ = std::exchange(other.client_, std::nullopt);
  return *this;
}

bool Admission::take(ListenerMeter& listener, const conf::ListenerLimits& limits) {
  const uint32_t before = listener.connections.fetch_add(1, std::memory_order_relaxed);
  listener_ = &listener;
  if (limits.connections == 0 || before < limits.connections) return true;
  give_back();
  return false;
}

std::optional<ConnectionLimit> Admission::take(const conf::IpAddress& client,
                                               const conf::ListenerLimits& limits, uint64_t now_us) {
  if (limits.connections_per_client == 0 && limits.new_connections_per_second == 0) return std::nullopt;
  const uint64_t key = listener_->clients.key_of(client);
  const auto broken = listener_->clients.add(key, limits, now_us);
  if (!broken && limits.connections_per_client != 0) client_ = key;
  return broken;
}

void Admission::give_back() {
  if (listener_ == nullptr) return;
  if (const auto client = std::exchange(client_, std::nullopt)) listener_->clients.remove(*client);
  std::exchange(listener_, nullptr)->connections.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace limpet::proxy
