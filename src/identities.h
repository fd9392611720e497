// What listeners and the status endpoint are to show of themselves by TLS, and whom connections to backends
// trust.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "conf/settings.h"
#include "src/net/tls_connector.h"
#include "src/net/tls_server.h"
#include "src/secrets.h"
#include "src/tls_files.h"

namespace limpet {

struct Identities {
  std::vector<net::SharedTlsIdentity> listeners;  // by listener; nullptr: it speaks no TLS
  std::vector<net::SharedTlsTrust> pools;         // by pool; nullptr: its backends speak no TLS
  net::SharedTlsIdentity status;                  // the endpoint's; nullptr: it speaks no TLS
  TlsFiles files;                                 // that all of them came out of
};

// What is wrong is said in a sentence: of a file that cannot be read, a key that is not its certificate's, or
// what OpenSSL does not take. What is as it is in `former` is the same object, so that connections and
// sessions that came by it go on.
std::variant<Identities, std::string> load_identities(const conf::Settings& settings, const Secrets& secrets,
                                                      const Identities& former = {});

// The same by what the files hold now, as far as that can be used.
Identities renewed(const Identities& former, const conf::Settings& settings, const Secrets& secrets);

}  // namespace limpet
