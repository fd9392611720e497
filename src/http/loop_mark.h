// By what a request is known that comes to the same pool once more: a mark in the Via that it leaves with
// (RFC 9110, section 7.6.3), which proxies on the way append to, fold and reorder, but do not take out.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "src/http/head.h"

namespace limpet::http {

// 16 letters, different ones for each number. Made for every request, so the order in which its halves of
// bytes stand is the one that costs least.
class LoopMark {
 public:
  explicit LoopMark(uint64_t number) {
    constexpr uint64_t kHalves = 0x0f0f'0f0f'0f0f'0f0f, kLetters = 0x6161'6161'6161'6161;  // 'a'
    const uint64_t low = (number & kHalves) + kLetters, high = (number >> 4 & kHalves) + kLetters;
    std::memcpy(letters_.data(), &low, sizeof low);
    std::memcpy(letters_.data() + sizeof low, &high, sizeof high);
  }
  std::string_view text() const { return {letters_.data(), letters_.size()}; }
  bool is_in(const Fields& fields) const {
    for (size_t i = 0; i < fields.size(); ++i) {
      if (fields.names[i] == FieldName::via && fields.list[i].value.find(text()) != std::string_view::npos)
        return true;
    }
    return false;
  }

 private:
  std::array<char, 2 * sizeof(uint64_t)> letters_;
};

}  // namespace limpet::http
