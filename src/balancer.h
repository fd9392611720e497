// The running program: settings, what the workers share, the workers, and the signals.
#pragma once

#include "conf/settings.h"
#include "src/secrets.h"

namespace limpet {

// Serves until SIGTERM or SIGINT. Returns the exit code; what is wrong goes to the log.
int run_balancer(const conf::Settings& settings, const Secrets& secrets);

}  // namespace limpet
