#include "src/proxy/backend_connections.h"

namespace limpet::proxy {

BackendConnections::BackendConnections(net::Deadlines& deadlines, net::Graveyard& graveyard, Dialer& dialer)
    : deadlines_(deadlines), graveyard_(graveyard), dialer_(dialer) {}

BackendConnections::~BackendConnections() { close_idle(); }

std::unique_ptr<BackendConnection> BackendConnections::take(routing::Slot slot, net::Millis most_idle) {
  BackendConnection* const newest = slot < newest_.size() ? newest_[slot] : nullptr;
  if (newest == nullptr || deadlines_.now() - newest->idle_since_ > most_idle) return nullptr;
  unlink(*newest);
  newest->idle_deadline_.clear();
  newest->reused_ = true;
  return std::unique_ptr<BackendConnection>(newest);
}

std::unique_ptr<BackendConnection> BackendConnections::dial(const routing::Backend& backend,
                                                            routing::Slot slot, BackendEvents* events,
                                                            int& error) {
  auto made = std::make_unique<BackendConnection>(*this, slot, deadlines_);
  return made->dial(dialer_, backend.address, events, error) ? std::move(made) : nullptr;
}

void BackendConnections::keep(std::unique_ptr<BackendConnection> unused, net::Millis keep_alive) {
  BackendConnection* const kept = unused.release();
  if (kept->slot_ >= newest_.size()) newest_.resize(kept->slot_ + 1u, nullptr);
  BackendConnection*& newest = newest_[kept->slot_];
  kept->events_ = nullptr;
  kept->state_ = BackendConnection::State::idle;
  kept->idle_since_ = deadlines_.now();
  kept->idle_deadline_.set(kept->idle_since_ + keep_alive);
  kept->older_ = newest;
  kept->newer_ = nullptr;
  if (newest != nullptr) newest->newer_ = kept;
  newest = kept;
  kept->resume();
}

void BackendConnections::close(std::unique_ptr<BackendConnection> used) {
  used->events_ = nullptr;
  used->stream_.reset();
  graveyard_.bury(std::move(used));
}

void BackendConnections::close_idle() {
  for (size_t slot = 0; slot < newest_.size(); ++slot) close_idle(static_cast<routing::Slot>(slot));
}

void BackendConnections::close_idle(routing::Slot slot) {
  while (slot < newest_.size() && newest_[slot] != nullptr) drop(*newest_[slot]);
}

void BackendConnections::drop(BackendConnection& idle) {
  unlink(idle);
  close(std::unique_ptr<BackendConnection>(&idle));
}

void BackendConnections::unlink(BackendConnection& idle) {
  if (idle.newer_ != nullptr) {
    idle.newer_->older_ = idle.older_;
  } else {
    newest_[idle.slot_] = idle.older_;
  }
  if (idle.older_ != nullptr) idle.older_->newer_ = idle.newer_;
  idle.newer_ = idle.older_ = nullptr;
}

}  // namespace limpet::proxy
