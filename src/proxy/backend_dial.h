// A connection to a backend in the making: at one of its addresses after another.
#pragma once

#include <string>

#include "conf/settings.h"
#include "routing/fleet.h"
#include "src/net/deadlines.h"
#include "src/net/dial.h"

namespace limpet::proxy {

class BackendConnections;

class BackendDial {
 public:
  // Begins with the address that `first` says. `preface` is what the connection begins with.
  void begin(BackendConnections& home, const conf::Address& address, unsigned first, net::Millis patience,
             std::string preface);
  // A stream that connects to the next one; `deadline` is when the one behind that has its turn. nullptr:
  // none is left, or could be tried, for the reason in `error`.
  net::StreamPtr next(BackendConnections& home, routing::Slot slot, net::StreamOwner* owner,
                      net::Deadline& deadline, int& error);

  unsigned index() const { return turns_.index(); }  // of the one whose turn it is
  const conf::Address& address() const { return address_; }
  const std::string& preface() const { return preface_; }

 private:
  conf::Address address_;
  std::string preface_;
  net::Turns turns_;
  net::Millis share_ = 0;  // of the time to connect, for one of several addresses
};

}  // namespace limpet::proxy
