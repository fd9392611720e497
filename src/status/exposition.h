// Prometheus' text exposition format, version 0.0.4: families of samples with their help and type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/status/report.h"

namespace limpet::status {

class Exposition {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  // Begins a family; its samples follow, and none of them comes later.
  void gauge(std::string_view name, std::string_view help) { family(name, "gauge", help); }
  void counter(std::string_view name, std::string_view help) { family(name, "counter", help); }
  void histogram(std::string_view name, std::string_view help) { family(name, "histogram", help); }

  void sample(const Labels& labels, uint64_t value);
  void sample(const Labels& labels, int64_t value);
  void sample(const Labels& labels, double value);
  void sample(const Labels& labels, bool value) { sample(labels, uint64_t{value}); }
  void sample(const Labels& labels, const HistogramReport& histogram);  // in seconds

  const std::string& text() const { return text_; }

 private:
  void family(std::string_view name, std::string_view type, std::string_view help);
  void line(std::string_view suffix, const Labels& labels, std::string_view value);

  std::string text_;
  std::string_view family_;
};

}  // namespace limpet::status
