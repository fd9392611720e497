#include "src/proxy/backend_connections.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace limpet::proxy {

BackendConnections::BackendConnections(net::Deadlines& deadlines, net::Graveyard& graveyard,
                                       net::Polls& polls, Dialer& dialer, StrayListener& strays,
                                       net::Gather& gathered, net::TlsRoom& tls_room)
    : deadlines_(deadlines),
      graveyard_(graveyard),
      polls_(polls),
      dialer_(dialer),
      strays_(strays),
      gathered_(gathered),
      tls_room_(tls_room),
      http2_(*this, deadlines) {}

BackendConnections::~BackendConnections() { close_idle(); }

bool BackendConnections::has_idle(routing::Slot slot, net::Millis most_idle, const OwnConnections& client) {
  const H1Backend* const own = client.find(*this);
  return (own != nullptr && own->slot_ == slot) || is_fresh(at(slot).newest, most_idle);
}

BackendPtr BackendConnections::take(routing::Slot slot, net::Millis most_idle, const OwnConnections& client,
                                    BackendEvents* events) {
  if (protocol_ == conf::Protocol::http2) return http2_.take(slot, events);
  H1Backend* idle = client.find(*this);
  if (idle == nullptr || idle->slot_ != slot) {
    idle = newest_rested(at(slot));
    if (!is_fresh(idle, most_idle)) return nullptr;
  }
  unlink(*idle);
  idle->deadline_.clear();
  idle->reused_ = true;
  idle->events_ = events;
  return BackendPtr(idle);
}

// It was kept while another poll was handled.
bool BackendConnections::has_rested(const H1Backend& idle) const { return idle.kept_at_ < polls_.handled(); }

// Those that have not rested yet are the newest, at the list's beginning: they are passed over once in a
// poll.
H1Backend* BackendConnections::newest_rested(AtSlot& slot) {
  if (slot.looked_at == polls_.handled()) return slot.rested;
  slot.looked_at = polls_.handled();
  slot.rested = slot.newest;
  while (slot.rested != nullptr && !has_rested(*slot.rested)) slot.rested = slot.rested->older_;
  return slot.rested;
}

bool BackendConnections::is_fresh(const H1Backend* idle, net::Millis most_idle) const {
  return idle != nullptr && deadlines_.now() - idle->idle_since_ <= most_idle;
}

BackendPtr BackendConnections::dial(const routing::Backend& backend, routing::Slot slot,
                                    BackendEvents* events, net::Millis patience, std::string preface,
                                    int& error) {
  if (protocol_ == conf::Protocol::http2)
    return http2_.dial(backend.address, slot, at(slot).first_address, events, patience, error);
  auto made = std::make_unique<H1Backend>(*this, slot, deadlines_);
  made->retired_ = at(slot).retired;
  const bool dials =
      made->dial(backend.address, at(slot).first_address, events, patience, std::move(preface), error);
  return BackendPtr(dials ? made.release() : nullptr);
}

void BackendConnections::keep(std::unique_ptr<H1Backend> unused, net::Millis keep_alive,
                              OwnConnections& client) {
  AtSlot& slot = at(unused->slot_);
  if (unused->retired_ != slot.retired) return close(std::move(unused));
  H1Backend* const kept = unused.release();
  if (kept->belongs_to_client_) {
    kept->owner_ = &client;
    client.add(*kept);
  }
  H1Backend*& newest = newest_of(*kept);
  kept->events_ = nullptr;
  kept->state_ = H1Backend::State::idle;
  kept->idle_since_ = deadlines_.now();
  kept->kept_at_ = polls_.handled();
  kept->deadline_.set(kept->idle_since_ + keep_alive);
  kept->older_ = newest;
  kept->newer_ = nullptr;
  if (newest != nullptr) newest->newer_ = kept;
  newest = kept;
  kept->resume();
}

void BackendConnections::close(std::unique_ptr<H1Backend> used) {
  if (used->has_strayed()) strays_.on_stray(used->slot_);
  used->events_ = nullptr;
  used->deadline_.clear();
  used->stream_.reset();
  graveyard_.bury(std::move(used));
}

void BackendConnections::connect_by(net::SharedTlsTrust trust, conf::Protocol protocol) {
  const bool is_same = trust == (tls_ == nullptr ? nullptr : tls_->trust());
  if (std::exchange(protocol_, protocol) == protocol && is_same) return;
  std::string error;
  tls_ = trust == nullptr ? nullptr : net::TlsConnector::make(std::move(trust), error);
  if (!error.empty()) spdlog::error("{}", error);
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    retire(static_cast<routing::Slot>(slot));
    if (slots_[slot].session) slots_[slot].session->keep(nullptr);
  }
}

net::StreamPtr BackendConnections::connect(const conf::Address& address, routing::Slot slot, unsigned index,
                                           const std::string& preface, net::StreamOwner* owner, int& error) {
  if (tls_ == nullptr) return dialer_.dial(address, index, owner, error);
  std::unique_ptr<net::TlsSession>& session = at(slot).session;
  if (session == nullptr) session = std::make_unique<net::TlsSession>();
  return net::StreamPtr(net::dial_tls(
      tls_room_, tls_->connect(address, *session), preface, owner,
      [&](net::StreamOwner* connecting) { return dialer_.dial(address, index, connecting, error); }));
}

void BackendConnections::close_idle() {
  http2_.close_idle();
  for (AtSlot& slot : slots_) close_idle(slot);
}

void BackendConnections::close_idle(AtSlot& slot) {
  while (slot.newest != nullptr) drop(*slot.newest);
  while (slot.newest_own != nullptr) drop(*slot.newest_own);
}

void BackendConnections::give_up_idle(int below) {
  http2_.give_up_idle(below);
  for (const AtSlot& slot : slots_) {
    for (H1Backend* next = slot.newest; next != nullptr;) {
      H1Backend& idle = *std::exchange(next, next->older_);
      if (idle.stream_->descriptor() >= below) continue;
      idle.stream_.release()->reset();
      drop(idle);
    }
  }
}

void BackendConnections::retire(routing::Slot slot) {
  AtSlot& retired = at(slot);
  ++retired.retired;
  retired.first_address = 0;
  close_idle(retired);
  http2_.retire(slot);
}

void BackendConnections::drop(H1Backend& idle) {
  unlink(idle);
  close(std::unique_ptr<H1Backend>(&idle));
}

void BackendConnections::stray(H1Backend& idle) {
  strays_.on_stray(idle.slot_);
  drop(idle);
}

void BackendConnections::unlink(H1Backend& idle) {
  if (AtSlot& slot = at(idle.slot_); slot.rested == &idle) slot.rested = idle.older_;
  if (idle.newer_ != nullptr) {
    idle.newer_->older_ = idle.older_;
  } else {
    newest_of(idle) = idle.older_;
  }
  if (idle.older_ != nullptr) idle.older_->newer_ = idle.newer_;
  idle.newer_ = idle.older_ = nullptr;
  if (idle.owner_ != nullptr) std::exchange(idle.owner_, nullptr)->remove(idle);
}

H1Backend*& BackendConnections::newest_of(const H1Backend& idle) {
  AtSlot& slot = at(idle.slot_);
  return idle.owner_ != nullptr ? slot.newest_own : slot.newest;
}

}  // namespace limpet::proxy
