#include "src/proxy/certificate_fields.h"

#include <string>
#include <string_view>

namespace limpet::proxy {

std::shared_ptr<const http::CertificateFields> certificate_fields(const conf::TlsClients& named,
                                                                  const net::ClientCertificate& shown) {
  constexpr const char* kVerified[] = {"none", "no", "yes"};
  auto made = std::make_shared<http::CertificateFields>();
  const auto add = [&made](const std::string& name, std::string_view value) {
    if (name.empty()) return;
    made->names.push_back(name);
    if (!value.empty()) made->lines.append(name).append(": ").append(value).append("\r\n");
  };
  add(named.verified, kVerified[static_cast<size_t>(shown.verified)]);
  add(named.subject, shown.subject);
  add(named.san, shown.san);
  add(named.fingerprint, shown.fingerprint);
  return made->names.empty() ? nullptr : std::move(made);
}

void hold_back_certificate_fields(const http::Peer& peer, const conf::Listener& listener,
                                  http::Fields& fields) {
  if (peer.certificate)
    for (const std::string& name : peer.certificate->names) fields.hold_back_alike(name);
  if (!listener.tls.clients) return;
  for (const std::string* name : listener.tls.clients.fields())
    if (!name->empty()) fields.hold_back_alike(*name);
}

}  // namespace limpet::proxy
