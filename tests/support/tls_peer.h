// One end of a TLS connection between bytes and bytes, as OpenSSL alone makes it: what Limpet's end talks to.
#pragma once

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "src/net/tls_stream.h"
#include "tests/support/certificates.h"

namespace limpet::test {

using SharedContext = std::shared_ptr<SSL_CTX>;

// Trusts everybody.
inline SharedContext client_context() { return {SSL_CTX_new(TLS_client_method()), SSL_CTX_free}; }

inline SharedContext server_context(const Issued& issued) {
  SharedContext made(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  REQUIRE(SSL_CTX_use_certificate(made.get(), issued.certificate.get()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(made.get(), issued.key.get()) == 1);
  return made;
}

inline void speak_only(SSL_CTX* context, int version) {
  REQUIRE(SSL_CTX_set_min_proto_version(context, version) == 1);
  REQUIRE(SSL_CTX_set_max_proto_version(context, version) == 1);
}

class TlsPeer {
 public:
  enum class Role : uint8_t { client, server };

  TlsPeer(const SharedContext& context, Role role) : TlsPeer(net::SslPtr(SSL_new(context.get())), role) {}
  TlsPeer(net::SslPtr tls, Role role)
      : tls_(std::move(tls)), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
    SSL_set_bio(tls_.get(), in_, out_);
    role == Role::client ? SSL_set_connect_state(tls_.get()) : SSL_set_accept_state(tls_.get());
  }

  // Its session is not spoilt by a connection that ends without a word.
  ~TlsPeer() { SSL_set_shutdown(tls_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  SSL* tls() const { return tls_.get(); }
  bool is_open() const { return SSL_is_init_finished(tls_.get()) == 1; }
  bool was_ended() const { return (SSL_get_shutdown(tls_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  bool is_resumed() const { return SSL_session_reused(tls_.get()) == 1; }

  std::string plain;    // that has come
  std::string failure;  // OpenSSL's reason; empty: none

  void start() { shake_hands(); }
  void receive(std::string_view wire) {
    BIO_write(in_, wire.data(), static_cast<int>(wire.size()));
    if (!is_open()) shake_hands();
    if (!is_open()) return;
    char piece[4096];
    int size;
    ERR_clear_error();
    while ((size = SSL_read(tls_.get(), piece, sizeof piece)) > 0)
      plain.append(piece, static_cast<size_t>(size));
    note(size);
  }
  void send(std::string_view text) {
    REQUIRE(SSL_write(tls_.get(), text.data(), static_cast<int>(text.size())) > 0);
  }
  void send_early(std::string_view text) {
    size_t sent = 0;
    REQUIRE(SSL_write_early_data(tls_.get(), text.data(), text.size(), &sent) == 1);
  }
  void end() { SSL_shutdown(tls_.get()); }
  std::string output() {
    std::string bytes(BIO_ctrl_pending(out_), '\0');
    if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }

 private:
  void shake_hands() {
    ERR_clear_error();
    note(SSL_do_handshake(tls_.get()));
  }
  void note(int result) {
    if (result > 0 || !failure.empty() || SSL_get_error(tls_.get(), result) != SSL_ERROR_SSL) return;
    failure = ERR_reason_error_string(ERR_peek_error());
  }

  const net::SslPtr tls_;
  BIO* const in_;  // tls_ owns both
  BIO* const out_;
};

// Lets the two talk until neither has anything to say.
inline void converse(TlsPeer& client, TlsPeer& server) {
  client.start();
  for (bool talks = true; talks;) {
    const std::string to_server = client.output();
    if (!to_server.empty()) server.receive(to_server);
    const std::string to_client = server.output();
    if (!to_client.empty()) client.receive(to_client);
    talks = !to_server.empty() || !to_client.empty();
  }
}

// Records on the wire, by their type (RFC 8446, section 5.1).
inline constexpr char kAlertRecord = 21, kDataRecord = 23;
inline std::string record_types(std::string_view wire) {
  std::string types;
  while (wire.size() >= SSL3_RT_HEADER_LENGTH) {
    types += wire[0];
    const size_t size = static_cast<unsigned char>(wire[3]) * 256u + static_cast<unsigned char>(wire[4]);
    wire.remove_prefix(std::min(wire.size(), size + SSL3_RT_HEADER_LENGTH));
  }
  return types;
}

}  // namespace limpet::test
