// What listeners are to show of themselves by TLS: their certificates, read from files.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "conf/load.h"
#include "conf/settings.h"
#include "src/net/tls_server.h"
#include "src/secrets.h"

namespace limpet {

using Identities = std::vector<net::SharedTlsIdentity>;  // by listener; nullptr: it speaks no TLS

// What is wrong is said in a sentence: of a file that cannot be read, a key that is not its certificate's, or
// what OpenSSL does not take.
std::variant<Identities, std::string> load_identities(const conf::Settings& settings, const Secrets& secrets);

}  // namespace limpet
