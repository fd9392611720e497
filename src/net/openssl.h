// What every use of OpenSSL's TLS here has in common.
#pragma once

#include <openssl/ssl.h>

#include <memory>

namespace limpet::net {

struct FreeSsl {
  void operator()(SSL* tls) const { SSL_free(tls); }
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContextPtr = std::unique_ptr<SSL_CTX, FreeSslContext>;

// The first reason in this thread's queue of errors, in OpenSSL's words: "wrong version number".
const char* openssl_reason();

// The groups of Mozilla's profiles (Server Side TLS 5.7), with the hybrid of ML-KEM where OpenSSL knows it,
// from 3.5 on.
bool set_groups(SSL_CTX* context);

}  // namespace limpet::net
