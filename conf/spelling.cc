#include "conf/spelling.h"

#include <algorithm>
#include <array>

#include "conf/ascii.h"
#include "conf/utf8.h"

namespace limpet::conf {
namespace {

constexpr size_t kMostShown = 40;
constexpr size_t kMostListed = 40;  // words: more than any table has keys

char folded(char c) { return c == '-' ? '_' : lower(c); }

bool continues_utf8(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

std::string escaped(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, character.size == 0 ? 1 : character.size);
    text.remove_prefix(bytes.size());
    if (character.size != 0 && is_shown(character.code)) {
      out += bytes;
      continue;
    }
    for (const char c : bytes) {
      const auto byte = static_cast<unsigned char>(c);
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::string shown(std::string_view text) {
  if (text.size() <= kMostShown) return escaped(text);
  size_t size = kMostShown;
  while (size > 0 && continues_utf8(text[size])) --size;
  return escaped(text.substr(0, size)) + "...";
}

std::string in_quotes(std::string_view text) { return '"' + shown(text) + '"'; }

size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the usual matrix: a swap of neighbours looks two rows back.
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const char x = folded(a[i - 1]), y = folded(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (x == y ? 0 : 1)});
      if (i > 1 && j > 1 && x == folded(b[j - 2]) && folded(a[i - 2]) == y)
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string* best = nullptr;
  size_t fewest = std::max<size_t>(1, word.size() / 3) + 1;
  const std::string_view begin = word.substr(0, kMostShown);
  for (const std::string& candidate : candidates) {
    const auto [shorter, longer] = std::minmax({begin.size(), candidate.size()});
    if (longer - shorter >= fewest) continue;  // each edit makes up for one letter at most
    const size_t edits = edit_distance(begin, candidate);
    // As many edits as letters turn any word into any other.
    if (edits < fewest && edits < std::min(word.size(), candidate.size())) {
      best = &candidate;
      fewest = edits;
    }
  }
  return best ? std::optional(*best) : std::nullopt;
}

std::string hint(std::string_view word, const std::vector<std::string>& candidates, char quote) {
  if (const auto meant = nearest(word, candidates)) return "did you mean " + (quote + *meant) + quote + "?";
  std::string out = "accepted:";
  const size_t listed = std::min(candidates.size(), kMostListed);
  for (size_t i = 0; i < listed; ++i) {
    out += i == 0 ? " " : ", ";
    out += (quote + candidates[i]) + quote;
  }
  if (listed < candidates.size()) out += " and " + std::to_string(candidates.size() - listed) + " more";
  return out;
}

std::string counted(uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string duration_words(int64_t seconds) {
  struct Unit {
    int64_t seconds;
    const char* name;
  };
  constexpr std::array<Unit, 4> kUnits = {{{86400, " d"}, {3600, " h"}, {60, " min"}, {1, " s"}}};
  seconds = std::max<int64_t>(seconds, 0);
  for (size_t i = 0; i + 1 < kUnits.size(); ++i) {
    const auto [unit, name] = kUnits[i];
    if (seconds < unit) continue;
    const auto [next_unit, next_name] = kUnits[i + 1];
    const int64_t rest = seconds % unit / next_unit;
    const std::string whole = std::to_string(seconds / unit) + name;
    return rest == 0 ? whole : whole + " " + std::to_string(rest) + next_name;
  }
  return std::to_string(seconds) + " s";
}

}  // namespace limpet::conf
