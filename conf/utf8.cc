#include "conf/utf8.h"

namespace limpet::conf {

Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](size_t i, unsigned char low = 0x80, unsigned char high = 0xbf) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const auto bits = [&](size_t i) { return static_cast<char32_t>(byte(i) & 0x3f); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead};
  if (lead < 0xc2 || lead > 0xf4) return {};
  if (lead < 0xe0) {
    if (!follows(1)) return {};
    return {2, static_cast<char32_t>(lead & 0x1f) << 6 | bits(1)};
  }
  if (lead < 0xf0) {
    const unsigned char low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
    if (!follows(1, low, high) || !follows(2)) return {};
    return {3, static_cast<char32_t>(lead & 0xf) << 12 | bits(1) << 6 | bits(2)};
  }
  const unsigned char low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
  if (!follows(1, low, high) || !follows(2) || !follows(3)) return {};
  return {4, static_cast<char32_t>(lead & 0x7) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3)};
}

bool is_shown(char32_t code) {
  const auto within = [code](char32_t from, char32_t to) { return from <= code && code <= to; };
  const bool hides = within(0, 0x1f) || within(0x7f, 0x9f) || code == 0x61c || within(0x200b, 0x200f) ||
                     within(0x2028, 0x202e) || within(0x2060, 0x206f) || code == 0xfeff ||
                     within(0xfff9, 0xfffb) || within(0xe0000, 0xe007f);
  return !hides;
}

}  // namespace limpet::conf
