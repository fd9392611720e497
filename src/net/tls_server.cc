#include "src/net/tls_server.h"

#include <openssl/err.h>

#include <algorithm>
#include <utility>

#include "conf/ascii.h"

namespace limpet::net {

namespace {

constexpr const char* kIntermediateCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";

constexpr uint32_t kMostEarlyData = 16 * 1024;  // a request or a few, without bodies

constexpr std::string_view kHttp1 = "http/1.1", kHttp2 = "h2";

// Among those that the client offers; its data() is null where it is not.
std::string_view find_offered(std::string_view offered, std::string_view wanted) {
  while (!offered.empty()) {
    const std::string_view name = offered.substr(1, static_cast<unsigned char>(offered[0]));
    if (name == wanted) return name;
    offered.remove_prefix(std::min(offered.size(), name.size() + 1));
  }
  return {};
}

// Of those that are spoken here the best that the client offers (RFC 7301, section 3.2).
int on_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
            unsigned size, void* identity) {
  const std::string_view all(reinterpret_cast<const char*>(offered), size);
  std::string_view chosen;
  if (static_cast<const TlsIdentity*>(identity)->http2) chosen = find_offered(all, kHttp2);
  if (chosen.empty()) chosen = find_offered(all, kHttp1);
  if (chosen.empty()) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = reinterpret_cast<const unsigned char*>(chosen.data());
  *out_size = static_cast<unsigned char>(chosen.size());
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

TlsServer::TlsServer(SharedTlsIdentity identity, TlsTickets::Clock clock)
    : identity_(std::move(identity)), tickets_(identity_->ticket_secret, clock) {}

std::unique_ptr<TlsServer> TlsServer::make(SharedTlsIdentity identity, std::string& error,
                                           TlsTickets::Clock clock) {
  std::unique_ptr<TlsServer> made(new TlsServer(std::move(identity), clock));
  return made->sort_by_name(error) ? std::move(made) : nullptr;
}

// Of two certificates with one name and one kind of key the first is shown.
bool TlsServer::sort_by_name(std::string& error) {
  const auto& certificates = identity_->certificates;
  const auto& first = certificates.front()->names;
  if (context_for(first.empty() ? Bundle{0} : bundle_for(first.front()), error) == nullptr) return false;
  for (const SharedCertificate& certificate : certificates) {
    for (const std::string& name : certificate->names) {
      if (by_name_.contains(name)) continue;
      SSL_CTX* const context = context_for(bundle_for(name), error);
      if (context == nullptr) return false;
      by_name_.emplace(name, context);
    }
  }
  return true;
}

TlsServer::Bundle TlsServer::bundle_for(const std::string& name) const {
  const auto& certificates = identity_->certificates;
  Bundle bundle;
  for (size_t place = 0; place < certificates.size(); ++place) {
    const auto& names = certificates[place]->names;
    const auto kind = EVP_PKEY_get_base_id(certificates[place]->key.get());
    const bool has_kind = std::any_of(bundle.begin(), bundle.end(), [&](size_t other) {
      return EVP_PKEY_get_base_id(certificates[other]->key.get()) == kind;
    });
    if (!has_kind && std::find(names.begin(), names.end(), name) != names.end()) bundle.push_back(place);
  }
  return bundle;
}

SSL_CTX* TlsServer::context_for(const Bundle& bundle, std::string& error) {
  for (const auto& [known, context] : contexts_)
    if (known == bundle) return context.get();
  SslContextPtr made = new_context(bundle, error);
  if (made == nullptr) return nullptr;
  return contexts_.emplace_back(bundle, std::move(made)).second.get();
}

SslContextPtr TlsServer::new_context(const Bundle& bundle, std::string& error) {
  ERR_clear_error();
  SslContextPtr made(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = made.get();
  const bool modern = identity_->settings.profile == conf::TlsProfile::modern;
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets carry sessions
  SSL_CTX_set_num_tickets(context, 1);                          // each of its connections brings the next
  SSL_CTX_set_dh_auto(context, 1);
  SSL_CTX_set_alpn_select_cb(context, on_alpn, const_cast<TlsIdentity*>(identity_.get()));
  SSL_CTX_set_tlsext_servername_arg(context, this);
  SSL_CTX_set_tlsext_servername_callback(
      context, +[](SSL* tls, int* alert, void* self) {
        return static_cast<const TlsServer*>(self)->choose(tls, alert);
      });
  tickets_.serve(context);
  // No memory of what was sent before is shared by workers and processes: what comes early may be a copy, and
  // whoever reads it has to know.
  if (identity_->settings.early_data) {
    SSL_CTX_set_options(context, SSL_OP_NO_ANTI_REPLAY);
    SSL_CTX_set_max_early_data(context, kMostEarlyData);
    SSL_CTX_set_recv_max_early_data(context, kMostEarlyData);
  }
  const bool is_set = SSL_CTX_set_min_proto_version(context, modern ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
                      SSL_CTX_set_max_proto_version(context, 0) == 1 &&
                      SSL_CTX_set_cipher_list(context, kIntermediateCiphers) == 1 && set_groups(context);
  const auto& clients = identity_->client_authorities;
  const bool asks =
      clients == nullptr || ask_for_certificates(context, identity_->settings.clients.mode, *clients);
  if (!is_set || !asks) {
    error = std::string("OpenSSL does not take Limpet's settings: ") + openssl_reason();
    return nullptr;
  }
  ERR_clear_error();  // of groups that are unknown here
  for (const size_t place : bundle) {
    const Certificate& certificate = *identity_->certificates[place];
    if (show(context, certificate)) continue;
    error = certificate.file + " is a certificate that OpenSSL does not take: " + openssl_reason();
    return nullptr;
  }
  return made;
}

// nullptr: no certificate covers it.
SSL_CTX* TlsServer::find(std::string_view name) const {
  if (const auto exact = by_name_.find(std::string(name)); exact != by_name_.end()) return exact->second;
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0) return nullptr;
  const auto wild = by_name_.find("*" + std::string(name.substr(dot)));
  return wild == by_name_.end() ? nullptr : wild->second;
}

int TlsServer::choose(SSL* tls, int* alert) const {
  const char* const asked = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);
  SSL_CTX* const found = asked != nullptr ? find(lower_case(asked)) : nullptr;
  if (found != nullptr) {
    SSL_set_SSL_CTX(tls, found);
    return SSL_TLSEXT_ERR_OK;
  }
  if (!identity_->settings.strict_sni) return SSL_TLSEXT_ERR_NOACK;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

SslPtr TlsServer::accept() {
  SslPtr made(SSL_new(contexts_.front().second.get()));
  if (made) SSL_set_accept_state(made.get());
  return made;
}

}  // namespace limpet::net
