// What certificates are held against, for whoever checks a file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conf/findings.h"
#include "conf/settings.h"

namespace limpet {

// Those that a start would refuse: a conf::Check.
void check_certificates(const conf::Settings& settings, conf::Findings& findings);

// What a start takes, and clients may not: one line each, in the file's order. For certificates that can be
// loaded; `now` in Unix seconds.
std::vector<std::string> certificate_warnings(const conf::Settings& settings, int64_t now);

}  // namespace limpet
