// The idle backend connections that belong to one client's connection, because their backends authenticate
// connections and not requests (RFC 4559, section 6): one of each pool at most, which nobody else is given
// and which is closed with the client's.
#pragma once

#include "routing/fleet.h"

namespace limpet::proxy {

class H1Backend;
class BackendConnections;

class OwnConnections {
 public:
  ~OwnConnections() { drop_all(); }
  OwnConnections() = default;
  OwnConnections(const OwnConnections&) = delete;
  OwnConnections& operator=(const OwnConnections&) = delete;

  H1Backend* find(const BackendConnections& pool) const;        // nullptr: there is none
  routing::Slot slot_in(const BackendConnections& pool) const;  // where it leads; kNoSlot: there is none
  void drop_elsewhere(const BackendConnections& pool, routing::Slot slot);
  void drop_all();

 private:
  friend class BackendConnections;  // puts them here, and takes them away
  void add(H1Backend& idle);
  void remove(H1Backend& idle);

  H1Backend* first_ = nullptr;  // the head of a list
};

}  // namespace limpet::proxy
