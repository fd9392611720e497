// A server's certificate with its chain and its private key, as PEM files hold them.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace limpet::net {

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

// Never changes once it is loaded.
struct Certificate {
  std::string file;
  std::unique_ptr<X509, FreeX509> leaf;
  std::vector<std::unique_ptr<X509, FreeX509>> chain;  // what is sent behind it, in this order
  std::unique_ptr<EVP_PKEY, FreeKey> key;
  // Of printable ASCII: DNS names, lower case, "*.example.com" among them, and IP addresses; of
  // subjectAltName, or, where there is none, the subject's common name (RFC 9525 asks for the first, old
  // tools make the other).
  std::vector<std::string> names;
  int64_t not_before = 0, not_after = 0;  // Unix seconds

  bool is_self_signed() const;
};
bool are_same(const Certificate& a, const Certificate& b);  // but for their files' names
using SharedCertificate = std::shared_ptr<const Certificate>;

// Adds what the file holds, in its order. Empty, or what is wrong, in a sentence that names the file.
std::string read_certificates(const std::string& file, std::vector<std::unique_ptr<X509, FreeX509>>& out);

// As conf writes addresses; empty: it is of neither kind.
std::string address_text(const ASN1_OCTET_STRING* octets);

// Connections of this context show it. False: OpenSSL does not take it.
bool show(SSL_CTX* context, const Certificate& certificate);

// `key_file` may be empty: then `file` holds the key as well. What is wrong is said in a sentence that names
// the file; it never tells anything of a key.
std::variant<SharedCertificate, std::string> load_certificate(const std::string& file,
                                                              const std::string& key_file);

// Whether this name, or one that it stands for, covers the host (RFC 9525, section 6.3): "*.example.com"
// covers one label. Both in lower case.
bool covers(std::string_view name, std::string_view host);

}  // namespace limpet::net
