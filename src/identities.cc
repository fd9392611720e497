#include "src/identities.h"

#include <algorithm>
#include <memory>
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
  static const std::string secret = random_secret();
  return secret;
}

// `made`, or what was made of the same things before.
template <class Object>
std::shared_ptr<const Object> known_or(std::shared_ptr<Object> made,
                                       const std::vector<std::shared_ptr<const Object>>& former) {
  const auto known = std::find_if(former.begin(), former.end(),
                                  [&](const auto& one) { return one != nullptr && *one == *made; });
  return known != former.end() ? *known : std::move(made);
}

net::SharedTlsIdentity identity_of(const conf::ListenerTls& settings, bool http2, const TlsFiles& files,
                                   const Secrets& secrets,
                                   const std::vector<net::SharedTlsIdentity>& former) {
  if (!settings) return nullptr;
  auto made = std::make_shared<net::TlsIdentity>();
  made->settings = settings;
  made->http2 = http2;
  for (const conf::TlsCertificate& named : settings.certificates)
    made->certificates.push_back(files.certificate(named));
  if (settings.clients) made->client_authorities = files.authorities(settings.clients.ca);
  made->ticket_secret = settings.shared_tickets ? derived(secrets.keys.front()) : own_ticket_secret();
  return known_or(std::move(made), former);
}

net::SharedTlsTrust trust_of(const conf::Pool& pool, const TlsFiles& files, const Identities& former) {
  if (!pool.tls) return nullptr;
  auto made = std::make_shared<net::TlsTrust>();
  made->settings = *pool.tls;
  made->http2 = pool.protocol == conf::Protocol::http2;
  if (!pool.tls->insecure) made->authorities = files.authorities(pool.tls->ca);
  if (!pool.tls->certificate.empty())
    made->certificate = files.certificate({pool.tls->certificate, pool.tls->key});
  return known_or(std::move(made), former.pools);
}

Identities made_of(TlsFiles files, const conf::Settings& settings, const Secrets& secrets,
                   const Identities& former) {
  Identities made;
  made.files = std::move(files);
  for (const conf::Listener& listener : settings.listeners)
    made.listeners.push_back(
        identity_of(listener.tls, listener.http2, made.files, secrets, former.listeners));
  for (const conf::Pool& pool : settings.pools) made.pools.push_back(trust_of(pool, made.files, former));
  made.status = identity_of(settings.status.tls, false, made.files, secrets, {former.status});
  return made;
}

std::string add_files(const conf::ListenerTls& tls, TlsFiles& files) {
  for (const conf::TlsCertificate& named : tls.certificates)
    if (std::string wrong = files.add(named); !wrong.empty()) return wrong;
  return tls.clients ? files.add_authorities(tls.clients.ca) : "";
}

std::string add_files(const conf::PoolTls& tls, TlsFiles& files) {
  std::string wrong;
  if (!tls.insecure) wrong = files.add_authorities(tls.ca);
  if (wrong.empty() && !tls.certificate.empty()) wrong = files.add({tls.certificate, tls.key});
  return wrong;
}

}  // namespace

std::variant<Identities, std::string> load_identities(const conf::Settings& settings, const Secrets& secrets,
                                                      const Identities& former) {
  TlsFiles files;
  for (const conf::Listener& listener : settings.listeners)
    if (const std::string wrong = add_files(listener.tls, files); !wrong.empty())
      return "listener " + listener.name + ": " + wrong;
  for (const conf::Pool& pool : settings.pools)
    if (const std::string wrong = pool.tls ? add_files(*pool.tls, files) : ""; !wrong.empty())
      return "pool " + pool.name + ": " + wrong;
  if (const std::string wrong = add_files(settings.status.tls, files); !wrong.empty())
    return "status: " + wrong;
  files.keep_same(former.files);
  return made_of(std::move(files), settings, secrets, former);
}

Identities renewed(const Identities& former, const conf::Settings& settings, const Secrets& secrets) {
  TlsFiles files = former.files;
  files.renew();
  return made_of(std::move(files), settings, secrets, former);
}

}  // namespace limpet
