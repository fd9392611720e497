#include "src/http/web_socket.h"

#include <openssl/evp.h>

#include <algorithm>

namespace limpet::http {

std::string web_socket_accept(std::string_view key) {
  const std::string proved = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(proved.data(), proved.size(), digest, &size, EVP_sha1(), nullptr) != 1) return {};
  unsigned char text[EVP_MAX_MD_SIZE * 2];
  const int written = EVP_EncodeBlock(text, digest, static_cast<int>(size));
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(written)};
}
namespace {

constexpr uint8_t kClose = 8, kPong = 10, kLastData = 2;
constexpr uint8_t kMasked = 0x80, kMostInControl = 125, kTwoOctets = 126;
constexpr uint64_t kMaskSize = 4;

}  // namespace

void WebSocketFrames::feed(std::string_view bytes) {
  while (!bytes.empty() && !closed() && readable()) {
    if (place_ != Place::payload) {
      place_ = step(static_cast<uint8_t>(bytes.front()));
      bytes.remove_prefix(1);
      continue;
    }
    const uint64_t skipped = std::min<uint64_t>(payload_left_, bytes.size());
    bytes.remove_prefix(static_cast<size_t>(skipped));
    payload_left_ -= skipped;
    if (payload_left_ == 0) place_ = Place::opcode;
  }
}

WebSocketFrames::Place WebSocketFrames::step(uint8_t octet) {
  switch (place_) {
    case Place::opcode: {
      const uint8_t opcode = octet & 0x0f;
      is_control_ = opcode >= kClose;
      if (opcode > kPong || (opcode > kLastData && !is_control_)) return Place::lost;
      return opcode == kClose ? Place::closed : Place::size;
    }
    case Place::size: {
      const uint8_t size = octet & 0x7f;
      const bool is_masked = (octet & kMasked) != 0;
      if (is_masked != (from_ == From::client) || (is_control_ && size > kMostInControl)) return Place::lost;
      if (size <= kMostInControl) return begin_payload(size);
      size_left_ = size == kTwoOctets ? 2 : 8;
      return Place::long_size;
    }
    case Place::long_size:
      payload_left_ = payload_left_ << 8 | octet;
      if (payload_left_ >> 62 != 0) return Place::lost;
      return --size_left_ != 0 ? Place::long_size : begin_payload(payload_left_);
    case Place::payload:
    case Place::closed:
    case Place::lost:
      break;
  }
  return place_;
}

WebSocketFrames::Place WebSocketFrames::begin_payload(uint64_t size) {
  payload_left_ = size + (from_ == From::client ? kMaskSize : 0);
  return payload_left_ == 0 ? Place::opcode : Place::payload;
}

}  // namespace limpet::http
