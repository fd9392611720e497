// What the streams of one loop send: gathered while events are handled, sent together before the loop waits
// again. A turn of a busy loop brings events of many connections; their peers then wake up once and find all
// that is for them, and the kernel's code and ours each run in a row instead of by turns. That is a quarter
// of what a small request costs. A turn's first writes wait for at most kMostStreams - 1 others.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::net {

class UvStream;

// Not thread-safe: a loop's own.
class Outbox {
 public:
  static constexpr size_t kMostBytes = 16 * 1024;  // of one stream; what is more is not worth a copy
  static constexpr size_t kMostStreams = 64;

  using Place = uint32_t;
  static constexpr Place kNowhere = ~Place{0};

  // Copies the bytes to the end of what waits at `place`; at kNowhere a place is made for `stream`. Sends
  // everything first where all places are taken.
  void add(UvStream& stream, Place& place, std::span<const iovec> parts);
  std::string_view waiting(Place place) const { return letters_[place].bytes; }
  void give_up(Place& place);  // what waits there goes nowhere

  void send();

 private:
  struct Letter {
    UvStream* stream;   // nullptr: nothing waits here any more
    std::string bytes;  // its memory stays for the next
  };

  std::vector<Letter> letters_;
  size_t used_ = 0;
};

}  // namespace limpet::net
