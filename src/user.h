// The rights that the process has: whom it runs as, and what is seen of its memory.
#pragma once

#include <string>
#include <vector>

#include "conf/findings.h"
#include "conf/settings.h"

namespace limpet {

// Becomes the user of that name with its groups, for good. Of root's rights the one to listen at ports below
// 1024 stays, for reloads. Empty, or what is wrong. Before threads are started that are to have that right.
std::string become(const std::string& user);

// Whether there is such a user: a conf::Check.
void check_user(const conf::Settings& settings, conf::Findings& findings);

// What is read or opened later and cannot be by who the process runs as: one line each. `file` is the
// configuration's.
std::vector<std::string> out_of_reach(const std::string& file, const conf::Settings& settings);

// The kernel writes no core dump of this process, and lets nobody but root look into its memory.
void hide_memory();

}  // namespace limpet
