// No pool's requests come back to it, because a backend of it is a listener of this very file.
//
// A listener may be a backend: its requests go on to another pool. They come back where they are led in a
// circle. What is told is certain: a request is followed by the very routes that it would take, and a backend
// is taken for a listener only where its address says so without asking anybody.
#pragma once

#include "conf/findings.h"
#include "conf/settings.h"

namespace limpet::routing {

void check_loops(const conf::Settings& settings, conf::Findings& findings);  // a conf::Check

}  // namespace limpet::routing
