#include "routing/cookie_date.h"

#include <array>
#include <chrono>

#include "conf/ascii.h"

namespace limpet::routing {
namespace {

// RFC 6265, section 5.1.1. A colon is no delimiter: it holds a time together.
bool is_delimiter(char c) {
  const auto u = static_cast<uint8_t>(c);
  return u == 0x09 || (u >= 0x20 && u <= 0x2f) || (u >= 0x3b && u <= 0x40) || (u >= 0x5b && u <= 0x60) ||
         (u >= 0x7b && u <= 0x7e);
}

// Takes `fewest` to `most` digits off the front of `text`; a digit more than `most` is no match.
std::optional<int> take_number(std::string_view& text, size_t fewest, size_t most) {
  size_t digits = 0;
  int number = 0;
  while (digits < text.size() && is_digit(text[digits])) {
    if (digits == most) return std::nullopt;
    number = number * 10 + (text[digits++] - '0');
  }
  if (digits < fewest) return std::nullopt;
  text.remove_prefix(digits);
  return number;
}

struct TimeOfDay {
  int hour, minute, second;
};

std::optional<TimeOfDay> parse_time(std::string_view token) {
  std::array<int, 3> parts{};
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) {
      if (token.empty() || token.front() != ':') return std::nullopt;
      token.remove_prefix(1);
    }
    const auto part = take_number(token, 1, 2);
    if (!part) return std::nullopt;
    parts[i] = *part;
  }
  return TimeOfDay{parts[0], parts[1], parts[2]};
}

std::optional<int> parse_month(std::string_view token) {
  constexpr std::string_view kMonths = "janfebmaraprmayjunjulaugsepoctnovdec";
  if (token.size() < 3) return std::nullopt;
  for (size_t i = 0; i < kMonths.size(); i += 3) {
    if (equals_ignoring_case(token.substr(0, 3), kMonths.substr(i, 3))) return static_cast<int>(i / 3 + 1);
  }
  return std::nullopt;
}

int full_year(int year) {
  if (year >= 70 && year <= 99) return year + 1900;
  if (year >= 0 && year <= 69) return year + 2000;
  return year;
}

// What has been found so far; a token is tried as what is still missing, in the RFC's order.
struct Parts {
  std::optional<TimeOfDay> time;
  std::optional<int> day, month, year;

  void take(std::string_view token) {
    if (!time && (time = parse_time(token))) return;
    std::string_view rest = token;
    if (!day && (day = take_number(rest, 1, 2))) return;
    if (!month && (month = parse_month(token))) return;
    rest = token;
    if (!year) year = take_number(rest, 2, 4);
  }
};

}  // namespace

std::optional<int64_t> parse_cookie_date(std::string_view text) {
  Parts found;
  while (!text.empty()) {
    size_t end = 0;
    while (end < text.size() && !is_delimiter(text[end])) ++end;
    if (end > 0) found.take(text.substr(0, end));
    text.remove_prefix(end < text.size() ? end + 1 : end);
  }
  if (!found.time || !found.day || !found.month || !found.year) return std::nullopt;
  const auto& [hour, minute, second] = *found.time;
  const int year = full_year(*found.year);
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(*found.month)},
                                         std::chrono::day{static_cast<unsigned>(*found.day)}};
  constexpr int kFirstYear = 1601;
  if (!date.ok() || year < kFirstYear || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const std::chrono::seconds since_epoch = std::chrono::sys_days{date}.time_since_epoch();
  return since_epoch.count() + hour * 3600 + minute * 60 + second;
}

}  // namespace limpet::routing
