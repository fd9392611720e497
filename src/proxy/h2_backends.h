// A worker's HTTP/2 connections to the backends of one pool.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

  // For its connections.
  void drop(H2Backend& closed);
  void heard_of(routing::Slot slot, size_t most_streams) { at(slot).most_streams = most_streams; }
  size_t most_streams(routing::Slot slot) { return std::max<size_t>(at(slot).most_streams, 1); }

 private:
  struct AtSlot {
    H2Backend* first = nullptr;      // of a list; owned
    size_t most_streams = SIZE_MAX;  // as the SETTINGS said that came last
  };

  AtSlot& at(routing::Slot slot) {
    if (slot >= slots_.size()) slots_.resize(slot + size_t{1});
    return slots_[slot];
  }
  template <class Tell>
  void for_each(H2Backend* first, Tell&& tell);

  BackendConnections& home_;
  net::Deadlines& deadlines_;
  std::vector<AtSlot> slots_;
};

}  // namespace limpet::proxy
