// What backends' names come to, for whoever checks a file: one that has no address, and one that has several.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"
#include "src/net/resolver.h"

namespace limpet {

// Looks all names up, and waits a second for the answers at most. One line each, in the file's order.
std::vector<std::string> name_warnings(const conf::Settings& settings,
                                       net::Resolver::Lookup lookup = net::Resolver::ask_system);

}  // namespace limpet
