#include "src/proxy/own_connections.h"

#include <utility>

#include "src/proxy/backend_connections.h"
#include "src/proxy/h1_backend.h"

namespace limpet::proxy {

H1Backend* OwnConnections::find(const BackendConnections& pool) const {
  H1Backend* own = first_;
  while (own != nullptr && &own->home_ != &pool) own = own->next_own_;
  return own;
}

routing::Slot OwnConnections::slot_in(const BackendConnections& pool) const {
  const H1Backend* const own = find(pool);
  return own == nullptr ? routing::kNoSlot : own->slot();
}

void OwnConnections::drop_elsewhere(const BackendConnections& pool, routing::Slot slot) {
  H1Backend* const own = find(pool);
  if (own != nullptr && own->slot() != slot) own->home_.drop(*own);
}

void OwnConnections::drop_all() {
  while (first_ != nullptr) first_->home_.drop(*first_);
}

void OwnConnections::add(H1Backend& idle) { idle.next_own_ = std::exchange(first_, &idle); }

void OwnConnections::remove(H1Backend& idle) {
  H1Backend** at = &first_;
  while (*at != &idle) at = &(*at)->next_own_;
  *at = std::exchange(idle.next_own_, nullptr);
}

}  // namespace limpet::proxy
