// Clients that show certificates of their own: whose are believed, and what they say.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <string>

#include "conf/settings.h"
#include "src/net/authorities.h"

namespace limpet::net {

// Connections of the context ask for a certificate from now on. A session that one set of authorities began
// is resumed where the same are believed, and asked for as strictly, alone. False: OpenSSL does not take
// them.
bool ask_for_certificates(SSL_CTX* context, conf::TlsClients::Mode mode, const Authorities& believed);

// What a client has shown, in this connection or in the one whose session it resumes.
struct ClientCertificate {
  enum class Verified : uint8_t { none, no, yes };
  Verified verified = Verified::none;
  // Of one that is believed; of others nothing is told, since they may say anything. ASCII that may stand in
  // a field's value.
  std::string subject;      // RFC 2253: "CN=bob,O=Example"
  std::string san;          // "DNS:bob.example,email:bob@example.com", each value percent-encoded
  std::string fingerprint;  // SHA-256, in hexadecimal digits
};
ClientCertificate client_certificate(const SSL* tls);

}  // namespace limpet::net
