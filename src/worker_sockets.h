// The sockets that workers listen with: one for each at each listener's address.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"
#include "src/net/passed_sockets.h"
#include "src/worker.h"

namespace limpet {

using WorkerSockets = std::vector<std::vector<Update::Socket>>;  // by worker

// At each address of `next` that `now` does not have; nullptr: there are none yet. False, and what is wrong
// in `error`: none is open.
bool bind_new(const conf::Settings* now, const conf::Settings& next, size_t workers,
              const net::PassedSockets& passed, WorkerSockets& sockets, std::string& error);

}  // namespace limpet
