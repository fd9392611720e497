#include "src/proxy/handshakes.h"

namespace limpet::proxy {

void Handshakes::begin(Handshake& handshake, uint32_t most) {
  while (count_ >= most && first_ != nullptr) first_->give_up();
  handshake.under_way_ = true;
  handshake.prev_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = &handshake;
  last_ = &handshake;
  ++count_;
}

void Handshakes::end(Handshake& handshake) {
  if (!handshake.under_way_) return;
  handshake.under_way_ = false;
  (handshake.prev_ != nullptr ? handshake.prev_->next_ : first_) = handshake.next_;
  (handshake.next_ != nullptr ? handshake.next_->prev_ : last_) = handshake.prev_;
  --count_;
}

}  // namespace limpet::proxy
