// Latencies, times and tables as people read them on a terminal; spelling.h has the rest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::status {

std::string latency_words(double milliseconds);  // "0.4 ms", "12 ms", "1.3 s"
std::string time_words(int64_t unix_seconds);    // "2026-01-31 14:05:09", of this machine's time zone

// Cells in columns that are as wide as their widest. Names are shown so that no terminal obeys them.
class Table {
 public:
  enum class Align : uint8_t { left, right };
  struct Column {
    std::string_view title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);  // as many as there are columns
  std::string text() const;                  // each line with its end

 private:
  const std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// In characters, as far as a terminal gives each one place.
size_t width(std::string_view utf8);
std::string cut_to(std::string_view utf8, size_t most);

}  // namespace limpet::status
