// What a running process can take over from a changed file, and what it cannot.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"

namespace limpet {

// The keys whose change takes a restart, as the file has them: "workers", "pool shop: affinity". Everything else is
// put in force by a reload.
std::vector<std::string> needs_restart(const conf::Settings& now, const conf::Settings& next);

}  // namespace limpet
