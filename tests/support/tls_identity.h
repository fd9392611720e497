// What a listener shows of itself by TLS, for tests.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>

#include "src/net/tls_server.h"
#include "tests/support/certificates.h"

namespace limpet::test {

// The names of the certificates' files do not matter.
inline net::SharedTlsIdentity identity_of(std::initializer_list<Issued> shown,
                                          conf::ListenerTls settings = {},
                                          std::string secret = "one secret") {
  auto made = std::make_shared<net::TlsIdentity>();
  settings.certificates.resize(shown.size());
  made->settings = std::move(settings);
  for (const Issued& issued : shown) made->certificates.push_back(loaded(issued));
  made->ticket_secret = std::move(secret);
  return made;
}

}  // namespace limpet::test
