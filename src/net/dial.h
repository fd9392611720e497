// Connections to addresses as an operator writes them.
#pragma once

#include "conf/settings.h"
#include "src/net/deadlines.h"
#include "src/net/descriptors.h"
#include "src/net/stream.h"

namespace limpet::net {

class Loop;
class Resolver;

// Whose turn it is among the addresses that a name has: each once, the one first that connected last.
class Turns {
 public:
  // While there is another address one that does not answer costs this part of the time for all of them.
  static constexpr Millis share_of(Millis whole) { return whole / 4; }

  void begin(size_t count) { count_ = static_cast<unsigned>(count), done_ = 0; }
  bool has_more() const { return done_ < count_; }
  unsigned index() const { return (first_ + done_ - 1) % count_; }  // of the turn that began last
  void start_with(unsigned index) { first_ = index; }               // before begin()

  // Takes turns until `dial(index, error)` makes a stream; nullptr: none did. `error` is then the last
  // address' error, unless one could not be tried for want of something; what it was, where no address is
  // left.
  template <typename Dial>
  StreamPtr dial_next(int& error, Dial&& dial) {
    while (has_more()) {
      ++done_;
      int this_error = 0;
      if (StreamPtr stream = dial(index(), this_error)) return stream;
      if (this_error != 0 && !is_shortage(error)) error = this_error;
    }
    return nullptr;
  }

 private:
  unsigned first_ = 0, count_ = 0, done_ = 0;
};

size_t count_addresses(const Resolver& resolver, const conf::Address& address);

// A connection in the making to the address that is `attempt`th (0 first) of those that `address` has.
// on_connected() or on_broken() follows. nullptr: it fails at once, with a negative errno in `error`, -EMFILE
// where its descriptor would not be `below` that number; or there are not so many addresses and `error` is 0.
StreamPtr dial(Loop& loop, const Resolver& resolver, const conf::Address& address, unsigned attempt,
               int below, StreamOwner* owner, int& error);

}  // namespace limpet::net
