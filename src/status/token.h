// The token that changes at the status endpoint take, for who checks it and for who sends it.
#pragma once

#include <string>
#include <string_view>

#include "conf/settings.h"

namespace limpet::status {

struct LoadedToken {
  std::string text;       // empty: there is none
  std::string wrong;      // not empty: why it could not be had, in words; never shows the token
  std::string warning{};  // not empty: what is unsafe about it, for the operational log
};

// As conf::Status::token has to be; blanks at its end do not count. `whence` says in the words where it is
// from.
LoadedToken check_token(std::string_view text, const std::string& whence);

// The first line of the file, which may be a pipe: for who sends it, and may wait.
LoadedToken read_token_file(const std::string& path);

// From the settings, or the file that they name, which never has to be waited for. Warns where every user of
// this machine may read that.
LoadedToken load_token(const conf::Status& settings);

}  // namespace limpet::status
