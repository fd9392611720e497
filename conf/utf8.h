// Characters in bytes from outside (RFC 3629), and which of them may stand in a log or on a terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace limpet::conf {

struct Character {
  size_t size = 0;  // bytes; 0: what is there is no UTF-8
  char32_t code = 0;
};
Character first_character(std::string_view text);  // of a text that is not empty

// False of what a reader does not see, or sees in another order than it stands in: control characters, line
// and paragraph separators, marks and overrides of direction (Unicode TR36, section 2.6), byte order marks.
bool is_shown(char32_t code);

}  // namespace limpet::conf
