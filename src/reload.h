// What a running process can take over from a changed file, and what it cannot.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"

namespace limpet {

// The keys whose change takes a restart, as the file has them: "workers", "pool shop: affinity". Everything
// else is put in force by a reload.
std::vector<std::string> needs_restart(const conf::Settings& now, const conf::Settings& next);

// Of these, in a pool, those that make every client's key another one, so that no known session is found:
// "affinity", "cookie.name".
std::vector<std::string> changed_keys(const conf::Pool& now, const conf::Pool& next);

}  // namespace limpet
