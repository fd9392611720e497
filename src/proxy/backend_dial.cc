#include "src/proxy/backend_dial.h"

#include <utility>

#include "src/proxy/backend_connections.h"

namespace limpet::proxy {

void BackendDial::begin(BackendConnections& home, const conf::Address& address, unsigned first,
                        net::Millis patience, std::string preface) {
  address_ = address;
  preface_ = std::move(preface);
  turns_.start_with(first);
  turns_.begin(home.count(address));
  share_ = net::Turns::share_of(patience);
}

net::StreamPtr BackendDial::next(BackendConnections& home, routing::Slot slot, net::StreamOwner* owner,
                                 net::Deadline& deadline, int& error) {
  deadline.clear();
  net::StreamPtr stream = turns_.dial_next(error, [&](unsigned index, int& this_error) {
    return home.connect(address_, slot, index, preface_, owner, this_error);
  });
  if (stream && turns_.has_more()) deadline.set(home.now() + share_);
  return stream;
}

}  // namespace limpet::proxy
