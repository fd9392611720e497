// What a start, a reload and a check warn of, by the settings and by what this process may have.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"
#include "src/net/descriptors.h"

namespace limpet {

std::vector<std::string> warnings(const conf::Settings& settings, const net::Descriptors& descriptors);

}  // namespace limpet
