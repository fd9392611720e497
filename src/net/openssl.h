// What every use of OpenSSL here has in common.
#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>
#include <string_view>

namespace limpet::net {

struct FreeSsl {
  void operator()(SSL* tls) const { SSL_free(tls); }
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContextPtr = std::unique_ptr<SSL_CTX, FreeSslContext>;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

std::string_view text_of(const ASN1_STRING* text);

std::array<unsigned char, 32> hmac_sha256(std::string_view key, std::string_view text);

// The first reason in this thread's queue of errors, in OpenSSL's words: "wrong version number".
const char* openssl_reason();

// The server chose it of what its client offered (RFC 7301).
bool chose_http2(const SSL* tls);

// The groups of Mozilla's profiles (Server Side TLS 5.7), with the hybrid of ML-KEM where OpenSSL knows it,
// from 3.5 on.
bool set_groups(SSL_CTX* context);

}  // namespace limpet::net
