// Who else listens on this machine, where SO_REUSEPORT would share an address with them without a word.
#pragma once

#include "conf/settings.h"

namespace limpet::net {

// Whether a socket that is not this process's listens where connections to `address`, an IP address or "*",
// arrive. True as well where that cannot be told.
bool others_listen(const conf::Address& address);

}  // namespace limpet::net
