// The token that changes at the status endpoint take.
#pragma once

#include <string>

#include "conf/settings.h"

namespace limpet::status {

struct LoadedToken {
  std::string text;   // empty: none is asked for
  std::string wrong;  // not empty: why it could not be read; never shows the token
};

// From the settings, or the first line of the file that they name.
LoadedToken load_token(const conf::Status& settings);

}  // namespace limpet::status
