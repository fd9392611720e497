// Who a request comes from, through the proxies that are believed, and how that is told to the backend (RFC
// 7239 and the X-Forwarded-* fields before it).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "conf/settings.h"
#include "src/http/head.h"

namespace limpet::http {

// What backends are told of a client's certificate.
struct CertificateFields {
  std::vector<std::string> names;  // by which a client may say nothing itself
  std::string lines;               // whole ones
};

// The other end of a client's connection: its TCP peer, or what the PROXY protocol says.
struct Peer {
  conf::IpAddress address;
  std::string text;      // as in logs; empty where there is no IP address
  bool trusted = false;  // one of the listener's trusted proxies
  bool tls = false;      // it speaks TLS with us
  std::shared_ptr<const CertificateFields> certificate = {};  // nullptr: there is nothing to tell
};

bool is_trusted(const conf::Listener& listener, const conf::IpAddress& address);

// The client's address: the peer's, or, behind trusted proxies, the right-most address in X-Forwarded-For or
// Forwarded that is not one of them. The field that the listener writes is the one that is read; with `none`,
// either, X-Forwarded-For first.
conf::IpAddress believed_client(const Peer& peer, const conf::Listener& listener, const Fields& fields);

// Whether the client speaks TLS, as a trusted peer says of the first of the chain.
bool believed_tls(const Peer& peer, const conf::Listener& listener, const Fields& fields);

// Writes the field lines that tell the backend where the request comes from, what a trusted peer told before
// them included.
void write_forwarded(const Peer& peer, const conf::Listener& listener, const RequestHead& request,
                     Cursor& out);

// What write_forwarded() replaces, and what an untrusted peer may not say at all.
FieldSet forwarded_to_drop(const Peer& peer, const conf::Listener& listener);

}  // namespace limpet::http
