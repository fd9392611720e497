#include "src/proxy/client_connection.h"

#include <utility>

namespace limpet::proxy {

ClientConnection::ClientConnection(Context& context, ServedListener& listener, ClientConnections& home,
                                   Admission admission)
    : context_(context),
      listener_(listener),
      home_(home),
      admission_(std::move(admission)),
      next_(home.first_) {
  if (next_ != nullptr) next_->prev_ = this;
  home_.first_ = this;
  ++listener_.connections;
}

void ClientConnection::leave() {
  (prev_ != nullptr ? prev_->next_ : home_.first_) = next_;
  if (next_ != nullptr) next_->prev_ = prev_;
  --listener_.connections;
  admission_.give_back();
  home_.on_client_closed();
  context_.graveyard.bury(std::unique_ptr<net::Mortal>(this));
}

}  // namespace limpet::proxy
