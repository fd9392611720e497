#include "src/status/exposition.h"

#include <charconv>

namespace limpet::status {

namespace {

template <class Number>
std::string digits(Number number) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr};
}

std::string seconds(uint64_t microseconds) { return digits(static_cast<double>(microseconds) / 1e6); }

void append_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
}

}  // namespace

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
  family_ = name;
  text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
  text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::line(std::string_view suffix, const Labels& labels, std::string_view value) {
  text_.append(family_).append(suffix);
  char before = '{';
  for (const auto& [name, label] : labels) {
    text_ += before;
    text_.append(name).append("=\"");
    append_escaped(text_, label);
    text_ += '"';
    before = ',';
  }
  if (!labels.empty()) text_ += '}';
  text_.append(" ").append(value).append("\n");
}

void Exposition::sample(const Labels& labels, uint64_t value) { line("", labels, digits(value)); }
void Exposition::sample(const Labels& labels, int64_t value) { line("", labels, digits(value)); }
void Exposition::sample(const Labels& labels, double value) { line("", labels, digits(value)); }

void Exposition::sample(const Labels& labels, const HistogramReport& histogram) {
  Labels with_bound = labels;
  with_bound.emplace_back("le", "");
  uint64_t up_to_here = 0;
  for (size_t bucket = 0; bucket < histogram.counts.size(); ++bucket) {
    up_to_here += histogram.counts[bucket];
    const bool last = bucket + 1 == histogram.counts.size();
    const std::string bound = last ? "+Inf" : seconds(proxy::Histogram::bound_us(bucket));
    with_bound.back().second = bound;
    line("_bucket", with_bound, digits(up_to_here));
  }
  line("_sum", labels, seconds(histogram.sum_us));
  line("_count", labels, digits(up_to_here));
}

}  // namespace limpet::status
