// The operational log: what happened to Limpet itself, on standard error. Callers use spdlog's own functions.
#pragma once

#include "conf/settings.h"

namespace limpet {

// To be called before the first thread starts, and again when the level is known. One line for each event:
// UTC time, level, text.
void set_up_log(conf::LogLevel level);

}  // namespace limpet
