// Choices read out of bytes: a fuzzer's, or random ones.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace limpet::test {

// Gives zeros once the bytes are used up.
class Choices {
 public:
  explicit Choices(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool none_left() const { return bytes_.empty(); }
  size_t below(size_t bound) {
    if (bytes_.empty()) return 0;
    const size_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value % bound;
  }
  bool flip() { return below(2) == 1; }
  bool one_in(size_t chances) { return below(chances) == chances - 1; }
  template <class T, size_t N>
  const T& of(const std::array<T, N>& list) {
    return list[below(N)];
  }
  std::string_view text(size_t size) {
    const auto piece = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(piece.size());
    return {reinterpret_cast<const char*>(piece.data()), piece.size()};
  }

  // All that is left: ASCII as it stands, these bits, and pieces of anything.
  template <size_t N>
  std::string rest_with(const std::array<std::string_view, N>& bits) {
    std::string made;
    while (!none_left()) {
      const size_t choice = below(256);
      if (choice < 128) {
        made.push_back(static_cast<char>(choice));
      } else if (choice < 192) {
        made.append(bits[choice % N]);
      } else {
        made.append(text(choice - 192));
      }
    }
    return made;
  }

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace limpet::test
