// A listener's side of TLS, as one worker has it: which certificate a client is shown, and what is agreed on.
// Versions, ciphers and groups are Mozilla's (Server Side TLS 5.7), whatever the system's OpenSSL says.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "conf/settings.h"
#include "src/net/certificate.h"
#include "src/net/openssl.h"
#include "src/net/tls_clients.h"
#include "src/net/tls_tickets.h"

namespace limpet::net {

// What all workers make theirs of. Immutable.
struct TlsIdentity {
  conf::ListenerTls settings;
  std::vector<SharedCertificate> certificates;  // as in the settings
  std::string ticket_secret;
  SharedAuthorities client_authorities = nullptr;  // nullptr: clients are asked for no certificate
  bool http2 = false;                              // is spoken, beside HTTP/1.1
  bool operator==(const TlsIdentity&) const = default;
};
using SharedTlsIdentity = std::shared_ptr<const TlsIdentity>;

class TlsServer {
 public:
  // nullptr, and what is wrong in `error`, where OpenSSL takes a certificate or a name not.
  static std::unique_ptr<TlsServer> make(SharedTlsIdentity identity, std::string& error,
                                         TlsTickets::Clock clock = unix_seconds);

  SslPtr accept();  // for one connection
  // By ALPN, once the handshake is over.

  const TlsIdentity& identity() const { return *identity_; }

 private:
  // Certificates that are shown for the same names: one of each kind of key at most, by its place.
  using Bundle = std::vector<size_t>;

  static int64_t unix_seconds() { return std::time(nullptr); }
  TlsServer(SharedTlsIdentity identity, TlsTickets::Clock clock);
  bool sort_by_name(std::string& error);
  Bundle bundle_for(const std::string& name) const;
  SSL_CTX* context_for(const Bundle& bundle, std::string& error);
  SslContextPtr new_context(const Bundle& bundle, std::string& error);
  SSL_CTX* find(std::string_view name) const;
  int choose(SSL* tls, int* alert) const;

  const SharedTlsIdentity identity_;
  TlsTickets tickets_;
  std::vector<std::pair<Bundle, SslContextPtr>> contexts_;  // the first is that of the first certificate
  std::unordered_map<std::string, SSL_CTX*> by_name_;
};

}  // namespace limpet::net
