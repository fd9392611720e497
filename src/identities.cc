#include "src/identities.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <map>
#include <stdexcept>
#include <utility>

namespace limpet {

namespace {

std::string derived(const std::string& key) {
  constexpr std::string_view kWhat = "limpet session tickets";
  std::array<unsigned char, 32> hash;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(kWhat.data()), kWhat.size(), hash.data(), nullptr);
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
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

}  // namespace

std::variant<Identities, std::string> load_identities(const conf::Settings& settings,
                                                      const Secrets& secrets) {
  Identities made;
  std::map<std::pair<std::string, std::string>, net::SharedCertificate> loaded;  // listeners may share some
  for (const conf::Listener& listener : settings.listeners) {
    made.emplace_back();
    if (!listener.tls) continue;
    auto identity = std::make_shared<net::TlsIdentity>();
    identity->settings = listener.tls;
    for (const conf::TlsCertificate& said : listener.tls.certificates) {
      net::SharedCertificate& certificate = loaded[{said.file, said.key}];
      if (certificate == nullptr) {
        auto found = net::load_certificate(said.file, said.key);
        if (auto* wrong = std::get_if<std::string>(&found))
          return "listener " + listener.name + ": " + *wrong;
        certificate = std::move(std::get<net::SharedCertificate>(found));
      }
      identity->certificates.push_back(certificate);
    }
    identity->ticket_secret =
        listener.tls.shared_tickets ? derived(secrets.keys.front()) : own_ticket_secret();
    std::string error;
    if (net::TlsServer::make(identity, error) == nullptr) return "listener " + listener.name + ": " + error;
    made.back() = std::move(identity);
  }
  return made;
}

}  // namespace limpet
