// Certificates for tests, made on the spot: self-signed, or by one another.
#pragma once

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <initializer_list>
#include <memory>
#include <string>
#include <variant>

#include "src/net/authorities.h"
#include "src/net/certificate.h"
#include "tests/support/folder.h"

namespace limpet::test {

enum class KeyKind : uint8_t { ecdsa, rsa };

// A certificate and its key.
struct Issued {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;

  std::string pem() const {
    return text_of([this](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); });
  }
  std::string key_pem() const {
    return text_of([this](BIO* out) {
      return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  std::string encrypted_key_pem() const {
    return text_of([this](BIO* out) {
      return PEM_write_bio_PKCS8PrivateKey(out, key.get(), EVP_aes_128_cbc(), "secret", 6, nullptr, nullptr);
    });
  }

 private:
  template <class Write>
  static std::string text_of(Write write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    REQUIRE(write(out.get()) == 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<size_t>(size)};
  }
};

struct Wanted {
  std::string common_name = "limpet test";
  std::string names = "";          // as OpenSSL writes them, "DNS:a.example,IP:192.0.2.1"; empty: none
  const Issued* issuer = nullptr;  // nullptr: itself
  KeyKind kind = KeyKind::ecdsa;
  bool is_authority = false;
  int64_t begins = -3600, ends = 3600;  // seconds from now
};

// RSA keys take long to find: all have one.
inline std::shared_ptr<EVP_PKEY> new_key(KeyKind kind) {
  static const std::shared_ptr<EVP_PKEY> rsa(EVP_RSA_gen(2048), EVP_PKEY_free);
  return kind == KeyKind::rsa ? rsa : std::shared_ptr<EVP_PKEY>(EVP_EC_gen("P-256"), EVP_PKEY_free);
}

inline void extend(X509* certificate, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const made = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
  REQUIRE(made != nullptr);
  X509_add_ext(certificate, made, -1);
  X509_EXTENSION_free(made);
}

inline Issued issue(const Wanted& wanted) {
  Issued made{std::shared_ptr<X509>(X509_new(), X509_free), new_key(wanted.kind)};
  X509* const certificate = made.certificate.get();
  static long serial = 0;
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), wanted.begins);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wanted.ends);
  X509_set_pubkey(certificate, made.key.get());
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(wanted.common_name.c_str()), -1, -1, 0);
  const Issued& issuer = wanted.issuer != nullptr ? *wanted.issuer : made;
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate.get()));
  if (!wanted.names.empty()) extend(certificate, NID_subject_alt_name, wanted.names);
  if (wanted.is_authority) extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
  REQUIRE(X509_sign(certificate, issuer.key.get(), EVP_sha256()) != 0);
  return made;
}

inline net::SharedCertificate load(const std::string& file, const std::string& key_file = "") {
  auto made = net::load_certificate(file, key_file);
  if (const auto* wrong = std::get_if<std::string>(&made)) FAIL(*wrong);
  return std::get<net::SharedCertificate>(made);
}

inline net::SharedCertificate loaded(const Issued& issued) {
  const Folder folder;
  std::ofstream(folder.file("it.pem")) << issued.pem() << issued.key_pem();
  return load(folder.file("it.pem"));
}

inline net::SharedAuthorities believing(std::initializer_list<Issued> issuers) {
  const Folder folder;
  std::ofstream file(folder.file("ca.pem"));
  for (const Issued& issuer : issuers) file << issuer.pem();
  file.close();
  return std::get<net::SharedAuthorities>(net::load_authorities(folder.file("ca.pem")));
}

}  // namespace limpet::test
