#include "src/identities.h"

#include <openssl/rand.h>

#include <stdexcept>
#include <utility>

#include "src/net/openssl.h"

namespace limpet {

namespace {

std::string derived(const std::string& key) {
  const auto secret = net::hmac_sha256(key, "limpet session tickets");
  return {reinterpret_cast<const char*>(secret.data()), secret.size()};
}

// Of this process, for as long as it lives.
const std::string& own_ticket_secret() {
  static const std::string secret = [] {
    std::string made(32, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(made.data()), static_cast<int>(made.size())) != 1)
      throw std::runtime_error("the system has no random numbers");
    return made;
  }();
  return secret;
}

net::SharedTlsIdentity identity_of(const conf::ListenerTls& settings, const CertificateFiles& files,
                                   net::SharedAuthorities authorities, const Secrets& secrets) {
  auto made = std::make_shared<net::TlsIdentity>();
  made->settings = settings;
  for (const conf::TlsCertificate& named : settings.certificates)
    made->certificates.push_back(files.shown(named));
  made->client_authorities = std::move(authorities);
  made->ticket_secret = settings.shared_tickets ? derived(secrets.keys.front()) : own_ticket_secret();
  return made;
}

}  // namespace

std::variant<Identities, std::string> load_identities(const conf::Settings& settings,
                                                      const Secrets& secrets) {
  Identities made;
  for (const conf::Listener& listener : settings.listeners) {
    for (const conf::TlsCertificate& named : listener.tls.certificates)
      if (const std::string wrong = made.files.add(named); !wrong.empty())
        return "listener " + listener.name + ": " + wrong;
    net::SharedAuthorities authorities;
    if (listener.tls.clients) {
      auto loaded = net::load_authorities(listener.tls.clients.ca);
      if (const auto* wrong = std::get_if<std::string>(&loaded))
        return "listener " + listener.name + ": " + *wrong;
      authorities = std::get<net::SharedAuthorities>(loaded);
    }
    made.listeners.push_back(
        listener.tls ? identity_of(listener.tls, made.files, std::move(authorities), secrets) : nullptr);
  }
  for (const conf::Pool& pool : settings.pools) {
    made.pools.emplace_back();
    if (!pool.tls) continue;
    std::string error;
    made.pools.back() = net::load_trust(*pool.tls, error);
    const bool is_taken =
        made.pools.back() != nullptr && net::TlsConnector::make(made.pools.back(), error) != nullptr;
    if (!is_taken) return "pool " + pool.name + ": " + error;
  }
  return made;
}

Identities renewed(const Identities& before, const conf::Settings& settings, const Secrets& secrets) {
  Identities made = before;
  made.files.renew();
  for (size_t place = 0; place < settings.listeners.size(); ++place) {
    const conf::ListenerTls& tls = settings.listeners[place].tls;
    if (!tls) continue;
    const net::SharedTlsIdentity& former = before.listeners[place];
    net::SharedTlsIdentity next = identity_of(tls, made.files, former->client_authorities, secrets);
    if (next->certificates != former->certificates) made.listeners[place] = std::move(next);
  }
  return made;
}

}  // namespace limpet
