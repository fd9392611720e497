// Text as nghttp2 wants it, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace limpet::http {

inline uint8_t* octets(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));  // nghttp2 only reads them
}

inline std::string_view view(const uint8_t* octets, size_t size) {
  return {reinterpret_cast<const char*>(octets), size};
}

}  // namespace limpet::http
