// One chunk of the chunked transfer coding (RFC 9112, section 7.1), around bytes that stay where they are.
#pragma once

#include <charconv>
#include <string_view>

#include "src/net/gather.h"

namespace limpet::http {

inline void write_chunk(std::string_view piece, net::Gather& out) {
  if (piece.empty()) return;  // a chunk of no size would end the body
  char size[sizeof(size_t) * 2 + 2];
  char* end = std::to_chars(size, size + sizeof size - 2, piece.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.text({size, static_cast<size_t>(end - size)});
  out.bytes(piece);
  out.text("\r\n");
}

}  // namespace limpet::http
