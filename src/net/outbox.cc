#include "src/net/outbox.h"

#include <utility>

#include "src/net/uv_stream.h"

namespace limpet::net {

void Outbox::add(UvStream& stream, Place& place, std::span<const iovec> parts) {
  if (place == kNowhere) {
    if (used_ == kMostStreams) send();
    if (used_ == letters_.size()) letters_.emplace_back();
    place = static_cast<Place>(used_++);
    letters_[place].stream = &stream;
  }
  std::string& bytes = letters_[place].bytes;
  for (const iovec& part : parts) bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
}

void Outbox::give_up(Place& place) {
  Letter& letter = letters_[std::exchange(place, kNowhere)];
  letter.stream = nullptr;
  letter.bytes.clear();
}

void Outbox::send() {
  for (size_t at = 0; at < used_; ++at) {
    if (letters_[at].stream != nullptr) letters_[at].stream->post();
  }
  used_ = 0;
}

}  // namespace limpet::net
