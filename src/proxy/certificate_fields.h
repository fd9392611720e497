// What a backend is told of its client's certificate, in fields that the operator names.
#pragma once

#include <memory>

#include "conf/settings.h"
#include "src/http/forwarded.h"
#include "src/net/tls_clients.h"

namespace limpet::proxy {

// `verified` is told of every client: "yes", "no", or "none" where it has shown none. nullptr: no field has a
// name.
std::shared_ptr<const http::CertificateFields> certificate_fields(const conf::TlsClients& named,
                                                                  const net::ClientCertificate& shown);

// Holds back what a client says by these names itself, and by those that read alike. The names are those that
// its connection began with, and those that its listener has now.
void hold_back_certificate_fields(const http::Peer& peer, const conf::Listener& listener,
                                  http::Fields& fields);

}  // namespace limpet::proxy
