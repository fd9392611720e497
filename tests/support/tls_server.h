// The server's side of TLS between bytes and bytes, with a certificate that nobody has reason to trust.
#pragma once

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

namespace limpet::test {

template <auto kFree>
struct FreeWith {
  template <class T>
  void operator()(T* what) const {
    kFree(what);
  }
};

class TlsServer {
 public:
  TlsServer() : context_(SSL_CTX_new(TLS_server_method())) {
    const std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>> key(EVP_EC_gen("P-256"));
    const std::unique_ptr<X509, FreeWith<X509_free>> certificate(X509_new());
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -2'000'000);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), -1'000'000);  // expired, too
    X509_set_pubkey(certificate.get(), key.get());
    REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) != 0);
    REQUIRE(SSL_CTX_use_certificate(context_.get(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context_.get(), key.get()) == 1);
  }
  void require_certificates() {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  void speak_only(int version) {
    SSL_CTX_set_min_proto_version(context_.get(), version);
    SSL_CTX_set_max_proto_version(context_.get(), version);
  }

  // Chooses this protocol of those that clients offer, and refuses who does not offer it (RFC 7301).
  void choose_protocol(std::string name) {
    protocol_ = std::move(name);
    SSL_CTX_set_alpn_select_cb(
        context_.get(),
        [](SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
           unsigned size, void* server) {
          const std::string& wanted = static_cast<TlsServer*>(server)->protocol_;
          for (unsigned at = 0; at < size; at += 1u + offered[at]) {
            *out = offered + at + 1;
            *out_size = offered[at];
            if (wanted == std::string_view(reinterpret_cast<const char*>(*out), *out_size))
              return SSL_TLSEXT_ERR_OK;
          }
          return SSL_TLSEXT_ERR_ALERT_FATAL;
        },
        this);
  }

  class Connection {
   public:
    explicit Connection(TlsServer& server)
        : tls_(SSL_new(server.context_.get())), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
      SSL_set_bio(tls_.get(), in_, out_);
      SSL_set_accept_state(tls_.get());
    }
    // Takes what came; returns the plain bytes in it.
    std::string receive(std::string_view wire) {
      BIO_write(in_, wire.data(), static_cast<int>(wire.size()));
      std::string plain;
      char piece[4096];
      for (int size; (size = SSL_read(tls_.get(), piece, sizeof piece)) > 0;)
        plain.append(piece, static_cast<size_t>(size));
      const char* name = SSL_get_servername(tls_.get(), TLSEXT_NAMETYPE_host_name);
      if (name != nullptr) server_name = name;
      return plain;
    }
    void send(std::string_view plain) {
      if (!plain.empty()) REQUIRE(SSL_write(tls_.get(), plain.data(), static_cast<int>(plain.size())) > 0);
    }
    void close() { SSL_shutdown(tls_.get()); }
    std::string output() {
      std::string bytes(BIO_ctrl_pending(out_), '\0');
      if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
      return bytes;
    }
    bool is_open() const { return SSL_is_init_finished(tls_.get()) == 1; }
    bool was_closed() const { return (SSL_get_shutdown(tls_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

    std::string server_name;  // that the client told

   private:
    std::unique_ptr<SSL, FreeWith<SSL_free>> tls_;
    BIO* in_;
    BIO* out_;
  };

 private:
  std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>> context_;
  std::string protocol_;
};

}  // namespace limpet::test
