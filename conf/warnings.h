// What a file may say, and whoever wrote it should know.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"

namespace limpet::conf {

std::vector<std::string> warnings(const Settings& settings);  // one line each, in the file's order

}  // namespace limpet::conf
