// What listeners are to show of themselves by TLS, and whom connections to backends trust.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "conf/settings.h"
#include "src/certificate_files.h"
#include "src/net/tls_connector.h"
#include "src/net/tls_server.h"
#include "src/secrets.h"

namespace limpet {

struct Identities {
  std::vector<net::SharedTlsIdentity> listeners;  // by listener; nullptr: it speaks no TLS
  std::vector<net::SharedTlsTrust> pools;         // by pool; nullptr: its backends speak no TLS
  CertificateFiles files;                         // of the listeners
};

// What is wrong is said in a sentence: of a file that cannot be read, a key that is not its certificate's, or
// what OpenSSL does not take.
std::variant<Identities, std::string> load_identities(const conf::Settings& settings, const Secrets& secrets);

// The same by what the files hold now. A listener none of whose certificates is another keeps its identity.
Identities renewed(const Identities& before, const conf::Settings& settings, const Secrets& secrets);

}  // namespace limpet
