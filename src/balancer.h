// The running program: what oversees the pools, the workers, the status endpoint, signals and reloads.
#pragma once

#include <memory>
#include <string>

#include "conf/settings.h"
#include "src/log.h"
#include "src/secrets.h"

namespace limpet {

// Serves until SIGTERM or SIGINT, which hold_signals() held until now; `settings` came out of `file`, which
// is read again on SIGHUP. Returns the exit code; what is wrong goes to the log.
int run_balancer(const std::string& file, std::shared_ptr<const conf::Settings> settings,
                 const Secrets& secrets, Log& log);

}  // namespace limpet
