// Reads Prometheus' text format 0.0.4 strictly: what a lenient reader would let pass is a fault here.
//
//   - lines end in "\n"; no blank lines, no comments but HELP and TYPE, HELP right before TYPE, both right
//   before
//     their family's samples, which stand together; no family without a sample may follow another of its name
//   - metric and label names as the format has them; label values escaped with \\, \" and \n alone; no label
//   twice
//   - no series twice
//   - histograms: only _bucket, _sum and _count; for each series buckets in ascending order, never falling,
//   up to
//     +Inf, which is the count
//   - counters end in _total, and nothing else does; times and sizes are in seconds and bytes
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::test {

using LabelSet = std::map<std::string, std::string>;

struct Family {
  std::string help, type;
  // By the sample's own name (a histogram has three), in order.
  std::vector<std::tuple<std::string, LabelSet, double>> samples;

  std::optional<double> value(const LabelSet& labels, const std::string& name = "") const {
    for (const auto& [own_name, own_labels, own_value] : samples) {
      if (own_labels == labels && (name.empty() || own_name == name)) return own_value;
    }
    return std::nullopt;
  }
};

class ExpositionCheck {
 public:
  explicit ExpositionCheck(std::string_view text) : text_(text) {
    if (!text_.ends_with('\n')) fail("the last line has no end");
    while (!text_.empty() && fault.empty()) take_line();
    for (const auto& [name, family] : families) check_family(name, family);
  }

  std::string fault;  // empty: none
  std::map<std::string, Family> families;

 private:
  void fail(const std::string& what) {
    if (fault.empty()) fault = what + " in: " + std::string(line_);
  }

  static bool is_name(std::string_view name, bool of_metric) {
    if (name.empty()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
      const char c = name[i];
      const bool letter =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (of_metric && c == ':');
      if (!letter && (i == 0 || c < '0' || c > '9')) return false;
    }
    return true;
  }

  void take_line() {
    const size_t end = text_.find('\n');
    line_ = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    if (line_.starts_with("# HELP ")) return take_help(line_.substr(7));
    if (line_.starts_with("# TYPE ")) return take_type(line_.substr(7));
    if (line_.empty() || line_.front() == '#') return fail("neither a sample, nor HELP, nor TYPE");
    take_sample(line_);
  }

  void take_help(std::string_view rest) {
    const size_t space = rest.find(' ');
    if (space == std::string_view::npos || space + 1 == rest.size()) return fail("no help");
    const std::string name(rest.substr(0, space));
    if (!is_name(name, true)) return fail("no name");
    if (families.contains(name)) return fail("a family that was there already");
    families[name].help = rest.substr(space + 1);
    if (families[name].help.find('\\') != std::string::npos) return fail("a backslash in the help");
    family_ = name;
  }

  void take_type(std::string_view rest) {
    const size_t space = rest.find(' ');
    if (space == std::string_view::npos || rest.substr(0, space) != family_)
      return fail("TYPE without its HELP before");
    Family& family = families[family_];
    if (!family.type.empty() || !family.samples.empty()) return fail("TYPE too late");
    family.type = rest.substr(space + 1);
    if (family.type != "gauge" && family.type != "counter" && family.type != "histogram")
      fail("no such type");
  }

  void take_sample(std::string_view rest) {
    const size_t name_end = rest.find_first_of("{ ");
    if (name_end == std::string_view::npos) return fail("no value");
    const std::string name(rest.substr(0, name_end));
    rest.remove_prefix(name_end);
    if (!is_name(name, true)) return fail("no name");
    Family& family = families[family_];
    if (family.type.empty()) return fail("a sample without a type");
    const bool part = family.type == "histogram" &&
                      (name == family_ + "_bucket" || name == family_ + "_sum" || name == family_ + "_count");
    if (!part && (name != family_ || family.type == "histogram")) return fail("a sample outside its family");

    LabelSet labels;
    if (rest.front() == '{' && !take_labels(rest, labels)) return fail("labels");
    if (!rest.starts_with(' ')) return fail("no space before the value");
    const std::optional<double> value = number(rest.substr(1));
    if (!value) return fail("no number");
    if (!seen_.insert({name, labels}).second) return fail("a series twice");
    family.samples.emplace_back(name, labels, *value);
  }

  static std::optional<double> number(std::string_view text) {
    if (text == "+Inf") return std::numeric_limits<double>::infinity();
    if (text.empty() || text.find_first_not_of("0123456789.e+-") != std::string_view::npos)
      return std::nullopt;
    size_t used = 0;
    const double value = std::stod(std::string(text), &used);
    return used == text.size() ? std::optional(value) : std::nullopt;
  }

  static bool take_labels(std::string_view& rest, LabelSet& labels) {
    do {
      rest.remove_prefix(1);  // { or ,
      const size_t equals = rest.find('=');
      if (equals == std::string_view::npos) return false;
      const std::string name(rest.substr(0, equals));
      if (!is_name(name, false) || name.starts_with("__")) return false;
      rest.remove_prefix(equals + 1);
      if (!rest.starts_with('"')) return false;
      rest.remove_prefix(1);
      std::string value;
      for (; !rest.empty() && rest.front() != '"'; rest.remove_prefix(1)) {
        if (rest.front() != '\\') {
          value.push_back(rest.front());
          continue;
        }
        rest.remove_prefix(1);
        if (rest.empty() || std::string_view("\\\"n").find(rest.front()) == std::string_view::npos)
          return false;
        value.push_back(rest.front() == 'n' ? '\n' : rest.front());
      }
      if (rest.empty()) return false;
      rest.remove_prefix(1);
      if (!labels.emplace(name, value).second) return false;
    } while (rest.starts_with(','));
    if (!rest.starts_with('}')) return false;
    rest.remove_prefix(1);
    return true;
  }

  void check_family(const std::string& name, const Family& family) {
    line_ = name;
    if (family.type.empty()) fail("a family without a type");
    if (family.help.back() != '.') fail("a help that is no sentence");
    if (name.ends_with("_total") != (family.type == "counter")) fail("_total is for counters");
    for (const char* unit : {"_ms", "_us", "_milliseconds", "_kb", "_kib", "_percent", "_minutes"}) {
      if (name.find(unit) != std::string::npos) fail("a unit that is no base unit");
    }
    if (family.type == "histogram") check_histogram(family);
    for (const auto& [own_name, labels, value] : family.samples) {
      if (family.type != "gauge" && !(value >= 0)) fail("a count below 0");
    }
  }

  void check_histogram(const Family& family) {
    struct Series {
      double bound = -std::numeric_limits<double>::infinity(), count = 0;
      std::optional<double> whole, sum;
    };
    std::map<LabelSet, Series> all;
    for (const auto& [name, labels, value] : family.samples) {
      LabelSet own = labels;
      own.erase("le");
      Series& series = all[own];
      if (name.ends_with("_sum")) series.sum = value;
      if (name.ends_with("_count")) series.whole = value;
      if (!name.ends_with("_bucket")) continue;
      if (!labels.contains("le")) return fail("a bucket without a bound");
      const std::optional<double> bound = number(labels.at("le"));
      if (!bound || !(*bound > series.bound)) return fail("buckets out of order");
      if (value < series.count) return fail("buckets that fall");
      series.bound = *bound;
      series.count = value;
    }
    for (const auto& [labels, series] : all) {
      if (!std::isinf(series.bound)) fail("no bucket for all");
      if (!series.sum || !series.whole || *series.whole != series.count)
        fail("no sum, or a count that is another");
    }
  }

  std::string_view text_, line_;
  std::string family_;
  std::set<std::pair<std::string, LabelSet>> seen_;
};

}  // namespace limpet::test
