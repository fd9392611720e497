#include "src/proxy/client_connection.h"

namespace limpet::proxy {

ClientConnection::ClientConnection(Context& context, ServedListener& listener, ClientConnections& home)
    : context_(context), listener_(listener), home_(home), next_(home.first_) {
  if (next_ != nullptr) next_->prev_ = this;
  home_.first_ = this;
  ++listener_.connections;
  listener_.meter->connections.fetch_add(1, std::memory_order_relaxed);
}

void ClientConnection::leave() {
  (prev_ != nullptr ? prev_->next_ : home_.first_) = next_;
  if (next_ != nullptr) next_->prev_ = prev_;
  --listener_.connections;
  listener_.meter->connections.fetch_sub(1, std::memory_order_relaxed);
  home_.on_client_closed();
  context_.graveyard.bury(std::unique_ptr<net::Mortal>(this));
}

}  // namespace limpet::proxy
