// How a client's connection begins. Who its client is, and what is spoken on it, is found out here, in this
// order: the PROXY protocol's header, where the peer has to send one; TLS, where the listener speaks it; then
// the connection serves HTTP/1.
#pragma once

#include "src/http/forwarded.h"
#include "src/net/stream.h"
#include "src/proxy/client_connection.h"

namespace limpet::proxy {

// Serves a connection that was accepted, or resets it where the listener's limits say so. `peer` is its other
// end.
void enter(Context& context, ServedListener& listener, http::Peer peer, ClientConnections& home,
           net::StreamPtr stream);

}  // namespace limpet::proxy
