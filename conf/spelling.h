// How faults show what an operator wrote, and what was probably meant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::conf {

// Safe on a terminal and in one line: control characters as "\x1b".
std::string escaped(std::string_view text);
std::string shown(std::string_view text);   // the same, cut short after 40 bytes
std::string quoted(std::string_view text);  // the same, in double quotes

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment) that turn one word
// into the other, where case, and '-' for '_', cost nothing.
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate with the fewest edits, if they are few enough for a slip: at most a third of the word.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

// "did you mean X?", or, when nothing is near, "accepted: X, Y, Z"; each between two `quote`s.
std::string hint(std::string_view word, const std::vector<std::string>& candidates, char quote);

}  // namespace limpet::conf
