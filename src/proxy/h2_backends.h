// A worker's HTTP/2 connections to the backends of one pool.
#pragma once

#include <vector>

#include "src/proxy/h2_backend.h"

namespace limpet::proxy {

class H2Backends {
 public:
  H2Backends(BackendConnections& home, net::Deadlines& deadlines) : home_(home), deadlines_(deadlines) {}
  ~H2Backends();
  H2Backends(const H2Backends&) = delete;
  H2Backends& operator=(const H2Backends&) = delete;

  // On a connection that is there; nullptr: none takes more.
  BackendPtr take(routing::Slot slot, BackendEvents* events);
  // On one that is in the making, or a new one; nullptr, for the reason in `error`.
  BackendPtr dial(const conf::Address& address, routing::Slot slot, unsigned first, BackendEvents* events,
                  net::Millis patience, int& error);
  void retire(routing::Slot slot);
  void close_idle();
  void give_up_idle(int below);

  void drop(H2Backend& closed);  // for its connections

 private:
  H2Backend*& at(routing::Slot slot) {
    if (slot >= slots_.size()) slots_.resize(slot + size_t{1});
    return slots_[slot];
  }
  template <class Tell>
  void for_each(H2Backend* first, Tell&& tell);

  BackendConnections& home_;
  net::Deadlines& deadlines_;
  std::vector<H2Backend*> slots_;  // heads of lists; owned
};

}  // namespace limpet::proxy
