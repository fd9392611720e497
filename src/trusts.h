// What connections to pools' backends trust and show by TLS, read from files.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "conf/settings.h"
#include "src/net/tls_connector.h"

namespace limpet {

using Trusts = std::vector<net::SharedTlsTrust>;  // by pool; nullptr: its backends speak no TLS

// What is wrong is said in a sentence.
std::variant<Trusts, std::string> load_trusts(const conf::Settings& settings);

}  // namespace limpet
