// The client's side of TLS, as one thread has it for one pool: who is trusted, what is shown, and which
// sessions are resumed.
#pragma once

#include <memory>
#include <string>

#include "conf/settings.h"
#include "src/net/authorities.h"
#include "src/net/certificate.h"
#include "src/net/openssl.h"

namespace limpet::net {

// What connections to a pool's backends trust and show. Immutable, and shared by all threads.
struct TlsTrust {
  conf::PoolTls settings;
  SharedAuthorities authorities;  // nullptr: nobody is verified
  SharedCertificate certificate;  // nullptr: none is shown
  bool http2 = false;             // is what is to be spoken, and not HTTP/1.1
  bool operator==(const TlsTrust&) const = default;
};
using SharedTlsTrust = std::shared_ptr<const TlsTrust>;

// The session that a server gave last. Outlives the connections that it is given to.
class TlsSession {
 public:
  TlsSession() = default;
  ~TlsSession() { keep(nullptr); }
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  void keep(SSL_SESSION* session);  // takes it over
  SSL_SESSION* get() const { return session_; }

 private:
  SSL_SESSION* session_ = nullptr;
};

class TlsConnector {
 public:
  // nullptr, and why in `error`.
  static std::unique_ptr<TlsConnector> make(SharedTlsTrust trust, std::string& error);

  // For one connection to a server that proves by its certificate that it has the name that the settings say,
  // or this address' host, unless they say `insecure`. nullptr: it cannot be.
  SslPtr connect(const conf::Address& address, TlsSession& session);
  // The same with this name, or IP address, in the place of the address'. Names are told (RFC 6066, section
  // 3), addresses are not.
  SslPtr connect_as(const std::string& name, TlsSession& session);

  const SharedTlsTrust& trust() const { return trust_; }

 private:
  explicit TlsConnector(SharedTlsTrust trust) : trust_(std::move(trust)) {}

  const SharedTlsTrust trust_;
  SslContextPtr context_;
};

}  // namespace limpet::net
