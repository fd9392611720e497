#include "src/net/tls_connector.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <utility>

#include "src/net/socket_address.h"

namespace limpet::net {

namespace {

// Where a connection's session is kept.
int index_of_session() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int on_new_session(SSL* tls, SSL_SESSION* session) {
  static_cast<TlsSession*>(SSL_get_ex_data(tls, index_of_session()))->keep(session);
  return 1;
}

bool set_alpn(SSL_CTX* context, bool http2) {
  const std::string_view wire = http2 ? "\x02h2" : "\x08http/1.1";
  return SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(wire.data()),
                                 static_cast<unsigned>(wire.size())) == 0;
}

bool is_address(const std::string& name) {
  sockaddr_storage literal;
  return to_sockaddr(name, 0, literal);
}

}  // namespace

void TlsSession::keep(SSL_SESSION* session) { SSL_SESSION_free(std::exchange(session_, session)); }

std::unique_ptr<TlsConnector> TlsConnector::make(SharedTlsTrust trust, std::string& error) {
  ERR_clear_error();
  std::unique_ptr<TlsConnector> made(new TlsConnector(std::move(trust)));
  made->context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = made->context_.get();
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, on_new_session);
  bool good = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 && set_groups(context) &&
              set_alpn(context, made->trust_->http2);
  if (const Authorities* const believed = made->trust_->authorities.get()) {
    SSL_CTX_set1_cert_store(context, believed->store.get());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (const Certificate* const shown = made->trust_->certificate.get()) good = good && show(context, *shown);
  if (good) return made;
  error = std::string("OpenSSL does not take what is said of TLS: ") + openssl_reason();
  return nullptr;
}

SslPtr TlsConnector::connect(const conf::Address& address, TlsSession& session) {
  const std::string& said = trust_->settings.name;
  if (!said.empty()) return connect_as(said, session);
  return connect_as(address.kind == conf::Address::Kind::unix_socket ? std::string() : address.host, session);
}

SslPtr TlsConnector::connect_as(const std::string& given, TlsSession& session) {
  const std::string name = given.ends_with('.') ? given.substr(0, given.size() - 1) : given;
  SslPtr made(SSL_new(context_.get()));
  if (!made) return nullptr;
  SSL* const tls = made.get();
  SSL_set_connect_state(tls);
  SSL_set_ex_data(tls, index_of_session(), &session);
  bool good = true;
  if (is_address(name)) {
    if (trust_->authorities) good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), name.c_str()) == 1;
  } else if (!name.empty()) {
    good = SSL_set_tlsext_host_name(tls, name.c_str()) == 1;
    SSL_set_hostflags(tls, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (trust_->authorities) good = good && SSL_set1_host(tls, name.c_str()) == 1;
  }
  if (good && session.get() != nullptr) SSL_set_session(tls, session.get());
  return good ? std::move(made) : nullptr;
}

}  // namespace limpet::net
