// Connections to addresses as an operator writes them.
#pragma once

#include "conf/settings.h"
#include "src/net/stream.h"

namespace limpet::net {

class Loop;
class Resolver;

// A connection in the making to the address that is `attempt`th (0 first) of those that `address` has.
// on_connected() or on_broken() follows. nullptr: it fails at once, with a negative errno in `error`, -EMFILE
// where its descriptor would not be `below` that number; or there are not so many addresses and `error` is 0.
StreamPtr dial(Loop& loop, const Resolver& resolver, const conf::Address& address, unsigned attempt,
               int below, StreamOwner* owner, int& error);

}  // namespace limpet::net
