// Certificates of clients: whose are believed, and the fields that tell of them.
#include <algorithm>

#include "conf/ascii.h"
#include "conf/checks.h"
#include "conf/spelling.h"

namespace limpet::conf {
namespace {

// Fields that frame, route or identify a request, or that Limpet writes itself.
bool is_taken(std::string_view name) {
  constexpr std::string_view kTaken[] = {"authorization",
                                         "connection",
                                         "content-length",
                                         "content-type",
                                         "cookie",
                                         "date",
                                         "early-data",
                                         "expect",
                                         "forwarded",
                                         "host",
                                         "http2-settings",
                                         "keep-alive",
                                         "max-forwards",
                                         "origin",
                                         "proxy-authorization",
                                         "proxy-connection",
                                         "referer",
                                         "te",
                                         "trailer",
                                         "transfer-encoding",
                                         "upgrade",
                                         "user-agent",
                                         "via",
                                         "x-real-ip",
                                         "x-request-id"};
  constexpr std::string_view kForwarded = "x-forwarded-";
  std::string plain = lower_case(name);
  std::replace(plain.begin(), plain.end(), '_', '-');
  return plain.starts_with(kForwarded) ||
         std::find(std::begin(kTaken), std::end(kTaken), plain) != std::end(kTaken);
}

void check_clients(const TlsClients& clients, const std::string& path, Findings& findings) {
  if (findings.broken(path)) return;
  if (clients && clients.ca.empty())
    findings.fault(path + ".ca", "is missing, accepted: a PEM file with who issues clients' certificates");
  const std::pair<const char*, const std::string*> fields[] = {{".verified", &clients.verified},
                                                               {".subject", &clients.subject},
                                                               {".san", &clients.san},
                                                               {".fingerprint", &clients.fingerprint}};
  std::vector<Placed> placed;
  for (const auto& [key, name] : fields) {
    if (name->empty()) continue;
    if (!clients)
      findings.fault(path + key,
                     "has no effect with `mode` \"none\", accepted: with \"optional\" or \"required\"");
    if (is_taken(*name))
      findings.fault(path + key, in_quotes(*name) +
                                     " has another meaning, accepted: a name of its own, such as "
                                     "\"X-Client-Certificate\"");
    std::string plain = lower_case(*name);
    std::replace(plain.begin(), plain.end(), '_', '-');
    placed.push_back({path + key, std::move(plain)});
  }
  refuse_repeats(placed, "each name once", findings);
}

}  // namespace

void check_tls(const Settings& settings, Findings& findings) {
  for (size_t i = 0; i < settings.listeners.size(); ++i)
    check_clients(settings.listeners[i].tls.clients, indexed("listener", i) + ".tls.clients", findings);
}

}  // namespace limpet::conf
