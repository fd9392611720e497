// How what an operator wrote is shown, and what was probably meant; and how counts and spans of time are
// written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::conf {

// Safe on a terminal and in one line: control characters as "\x1b".
std::string escaped(std::string_view text);
std::string shown(std::string_view text);      // the same, cut short after 40 bytes
std::string in_quotes(std::string_view text);  // the same, in double quotes

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment) that turn one word
// into the other, where case, and '-' for '_', cost nothing.
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate with the fewest edits, if they are few enough for a slip: at most a third of the word.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

// "did you mean X?", or, when nothing is near, "accepted: X, Y, Z", the first 40 of them; each
// between two `quote`s.
std::string hint(std::string_view word, const std::vector<std::string>& candidates, char quote);

std::string counted(uint64_t count, std::string_view noun);  // "1 session", "2 sessions"
std::string duration_words(int64_t seconds);  // "3 d 4 h", "14 min", "5 s": its two largest units at most

}  // namespace limpet::conf
