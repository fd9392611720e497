#include "src/status/words.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "conf/spelling.h"

namespace limpet::status {

namespace {

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

std::string decimal(double value, int digits) {
  std::array<char, 32> out;
  const int size = std::snprintf(out.data(), out.size(), "%.*f", digits, value);
  return {out.data(), static_cast<size_t>(size)};
}

}  // namespace

std::string latency_words(double milliseconds) {
  if (milliseconds >= 10'000) return decimal(milliseconds / 1000, 0) + " s";
  if (milliseconds >= 1000) return decimal(milliseconds / 1000, 1) + " s";
  return decimal(milliseconds, milliseconds >= 10 ? 0 : milliseconds >= 1 ? 1 : 2) + " ms";
}

std::string time_words(int64_t unix_seconds) {
  const auto time = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  std::array<char, 64> out;
  if (localtime_r(&time, &parts) == nullptr) return std::to_string(unix_seconds);
  return {out.data(), std::strftime(out.data(), out.size(), "%Y-%m-%d %H:%M:%S", &parts)};
}

size_t width(std::string_view utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), begins_character));
}

std::string cut_to(std::string_view utf8, size_t most) {
  if (width(utf8) <= most) return std::string(utf8);
  size_t at = 0, seen = 0;
  while (at < utf8.size() && (!begins_character(utf8[at]) || seen++ < most)) ++at;
  return std::string(utf8.substr(0, at));
}

void Table::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = conf::escaped(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(width(columns_[i].title));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  const auto line = [&](auto&& cell) {
    std::string text;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string space(widths[i] - width(cell(i)), ' ');
      if (i > 0) text += "  ";
      text += columns_[i].align == Align::right ? space : "";
      text += cell(i);
      text += columns_[i].align == Align::left ? space : "";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + '\n';
  };
  line([&](size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) line([&](size_t i) { return std::string_view(row[i]); });
  return out;
}

}  // namespace limpet::status
