// What must hold of cookies in requests and answers, whatever stands in the fields: a plain second reading
// finds the same ones, the pool's own cookie goes no further and takes none along, and one that is set is
// found.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "routing/affinity_key.h"
#include "routing/cookie_date.h"
#include "routing/learning.h"
#include "src/http/parser.h"
#include "src/http/rewrite.h"
#include "src/proxy/set_cookie.h"
#include "tests/support/choices.h"
#include "tests/support/gathered.h"

namespace limpet::test {

class CookieCheck {
 public:
  // Makes fields out of `bytes`; what is wrong with how they are understood, or nothing.
  static std::string check(std::span<const uint8_t> bytes) { return CookieCheck(bytes).run(); }

 private:
  using Pair = std::pair<std::string, std::string>;  // a name, or an attribute's, and its value

  static constexpr std::string_view kOwn = "limpet_shop", kTheirs = "JSESSIONID";
  static constexpr uint32_t kNow = 1'700'000'000;
  static constexpr http::HeadLimits kLimits{.head = 1 << 20, .target = 1 << 20, .fields = 1000};
  // A line feed begins another field.
  static constexpr std::array<std::string_view, 32> kBits{"JSESSIONID=",
                                                          "limpet_shop=",
                                                          "limpet_shop",
                                                          "; ",
                                                          ";",
                                                          "=",
                                                          "\"",
                                                          "\n",
                                                          "JSESSIONID=a1b2; limpet_shop=x; a=b",
                                                          "; Path=/",
                                                          "; Path=/p",
                                                          "; path=/other",
                                                          "; Domain=a.example",
                                                          "; domain=.example",
                                                          "; Domain=b.example",
                                                          "; Max-Age=0",
                                                          "; Max-Age=-1",
                                                          "; max-age=60",
                                                          "; Max-Age=00",
                                                          "; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                                                          "; Expires=Wed, 09-Jun-99 10:18:14 GMT",
                                                          "; expires=Sun Nov  6 08:49:37 2094",
                                                          "; Secure; HttpOnly; SameSite=Lax",
                                                          "jsessionid=lower",
                                                          "\t",
                                                          " ",
                                                          "JSESSIONID=\"quoted\"",
                                                          "JSESSIONID=a1b2",
                                                          "JSESSIONID = c3d4",
                                                          "JSESSIONID=; Max-Age=0",
                                                          "limpet_shop =x",
                                                          "JSESSIONID=a1b2; Path=/p; Max-Age=0"};

  explicit CookieCheck(std::span<const uint8_t> bytes) : choices_(bytes) {
    split_ = choices_.below(8);
    tls_ = choices_.flip();
    cookie_.path = choices_.flip() ? "/" : "/p";
    if (choices_.flip()) cookie_.domain = "a.example";
    cookie_.http_only = choices_.flip();
    cookie_.same_site = static_cast<conf::SameSite>(choices_.below(4));
    seconds_ = 0;
    for (int i = 0; i < 5; ++i) seconds_ = seconds_ * 100 + static_cast<int64_t>(choices_.below(100));
    std::string text = choices_.rest_with(kBits);
    std::string_view rest = text;
    while (!rest.empty()) fields_.emplace_back(take_until(rest, '\n'));
    split_ = std::min(split_, fields_.size());
  }

  // The first of the fields are the request's, the others its answer's.
  std::string run() {
    std::string head = "GET /p/q HTTP/1.1\r\nHost: a.example\r\n";
    for (size_t i = 0; i < split_; ++i) head += "Cookie: " + fields_[i] + "\r\n";
    head += "\r\n";
    http::Parser parser;
    http::RequestHead request;
    if (!is_whole(head) || parser.parse_request(head, kLimits, request)) return {};
    std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    for (size_t i = split_; i < fields_.size(); ++i) answer += "Set-Cookie: " + fields_[i] + "\r\n";
    answer += "\r\n";
    http::ResponseHead response;
    if (!is_whole(answer) || parser.parse_response(answer, kLimits, false, response)) return {};
    std::string wrong = check_request(request);
    if (wrong.empty()) wrong = check_learning(request, response);
    if (wrong.empty()) wrong = check_own(response);
    if (wrong.empty()) wrong = check_dates();
    return wrong;
  }

  static bool is_whole(std::string_view head) {
    size_t searched = 0;
    return http::find_head(head, searched, kLimits).size == head.size();
  }

  // ---- a second reading (RFC 6265, sections 5.2 and 5.4), by splitting first

  static std::vector<std::string> pieces_of(const std::string& text) {
    std::vector<std::string> pieces(1);
    for (const char c : text) {
      if (c == ';') {
        pieces.emplace_back();
      } else {
        pieces.back() += c;
      }
    }
    for (std::string& piece : pieces) piece = bare(piece);
    return pieces;
  }
  static std::string bare(const std::string& text) {
    const size_t from = text.find_first_not_of(" \t");
    if (from == text.npos) return {};
    return text.substr(from, text.find_last_not_of(" \t") + 1 - from);
  }
  static Pair pair_of(const std::string& piece) {
    const size_t equals = piece.find('=');
    if (equals == piece.npos) return {piece, ""};
    return {bare(piece.substr(0, equals)), bare(piece.substr(equals + 1))};
  }
  static std::string without_quotes(const std::string& value) {
    const bool is_quoted = value.size() > 1 && value.front() == '"' && value.back() == '"';
    return is_quoted ? value.substr(1, value.size() - 2) : value;
  }
  static std::vector<std::string> values_of(const http::Fields& fields, std::string_view name) {
    std::vector<std::string> values;
    for (const http::Field& field : fields.list) {
      if (!equals_ignoring_case(field.name, "cookie")) continue;
      for (const std::string& piece : pieces_of(std::string(field.value)))
        if (piece.find('=') != piece.npos && pair_of(piece).first == name)
          values.push_back(without_quotes(pair_of(piece).second));
    }
    return values;
  }
  // All but the pool's own, and what is empty.
  static std::vector<std::string> others_in(const http::Fields& fields) {
    std::vector<std::string> others;
    for (const http::Field& field : fields.list) {
      if (!equals_ignoring_case(field.name, "cookie")) continue;
      for (const std::string& piece : pieces_of(std::string(field.value)))
        if (!piece.empty() && pair_of(piece).first != kOwn) others.push_back(piece);
    }
    return others;
  }

  // ---- what must hold

  std::string check_request(const http::RequestHead& request) {
    for (const std::string_view name : {kOwn, kTheirs}) {
      std::vector<std::string> found;
      routing::for_each_cookie(request.fields.list, name, [&](std::string_view value) {
        found.emplace_back(value);
        return false;
      });
      if (found != values_of(request.fields, name)) return "a second reading finds other cookies";
    }
    if (ids_in(request) != expected_ids(request)) return "a second reading finds other ids";

    const conf::Listener listener;
    const http::Peer peer{conf::IpAddress::parse("192.0.2.1").value(), "192.0.2.1"};
    net::Gather gather;
    http::write_request(request,
                        {.via = "limpet",
                         .request_id = "id",
                         .hidden_cookie = kOwn,
                         .backend = "b",
                         .peer = peer,
                         .listener = listener},
                        gather);
    const std::string sent = text_of(gather);
    http::Parser parser;
    http::RequestHead again;
    if (!is_whole(sent) || parser.parse_request(sent, kLimits, again)) return "what leaves is no request";
    if (!values_of(again.fields, kOwn).empty()) return "the pool's own cookie gets through";
    if (others_in(again.fields) != others_in(request.fields)) return "another cookie does not get through";
    return {};
  }

  static std::vector<std::string> ids_in(const http::RequestHead& request) {
    const auto ids =
        routing::ids_at({conf::SessionIdSource::Place::cookie, std::string(kTheirs)}, view(request));
    return {ids.all().begin(), ids.all().end()};
  }
  static std::vector<std::string> expected_ids(const http::RequestHead& request) {
    std::vector<std::string> ids;
    for (const std::string& value : values_of(request.fields, kTheirs))
      if (!value.empty() && value.size() <= routing::kLongestId && ids.size() < 8 &&
          std::find(ids.begin(), ids.end(), value) == ids.end())
        ids.push_back(value);
    return ids;
  }
  static routing::RequestView view(const http::RequestHead& request) {
    return {request.method, request.target, request.fields.list, {}};
  }

  struct Said {
    std::string value, domain = {}, path = {};
    bool deletes = false;
  };
  static std::optional<Said> read_set_cookie(const std::string& field) {
    const std::vector<std::string> pieces = pieces_of(field);
    if (pieces[0].find('=') == std::string::npos || pair_of(pieces[0]).first != kTheirs) return std::nullopt;
    Said said{.value = without_quotes(pair_of(pieces[0]).second)};
    std::optional<bool> over;
    bool expired = false;
    for (size_t i = 1; i < pieces.size(); ++i) {
      const auto [name, value] = pair_of(pieces[i]);
      if (equals_ignoring_case(name, "path")) said.path = value.substr(0, 1) == "/" ? value : "";
      if (equals_ignoring_case(name, "domain"))
        said.domain = lower_case(value.substr(0, 1) == "." ? value.substr(1) : value);
      const std::string digits = value.substr(value.substr(0, 1) == "-" ? 1 : 0);
      const bool is_number = !digits.empty() && digits.find_first_not_of("0123456789") == digits.npos;
      if (equals_ignoring_case(name, "max-age") && is_number)
        over = value[0] == '-' || digits.find_first_not_of('0') == digits.npos;
      if (equals_ignoring_case(name, "expires"))
        if (const auto date = routing::parse_cookie_date(value)) expired = *date <= kNow;
    }
    said.deletes = said.value.empty() || over.value_or(expired);
    return said;
  }

  std::string check_learning(const http::RequestHead& request, const http::ResponseHead& response) const {
    conf::SessionIdAffinity affinity;
    affinity.sources = {{conf::SessionIdSource::Place::cookie, std::string(kTheirs)}};
    routing::McpPaths paths;
    const routing::Learned learned =
        routing::learn(affinity, view(request), {response.status, response.fields.list}, paths, kNow);

    std::vector<Said> last;  // of each cookie
    for (const http::Field& field : response.fields.list) {
      if (!equals_ignoring_case(field.name, "set-cookie")) continue;
      const auto said = read_set_cookie(std::string(field.value));
      if (!said) continue;
      const auto same = std::find_if(last.begin(), last.end(), [&](const Said& one) {
        return one.domain == said->domain && one.path == said->path;
      });
      if (same != last.end()) {
        *same = *said;
      } else if (last.size() < 8) {
        last.push_back(*said);
      }
    }
    std::vector<std::string> set;
    for (const Said& said : last)
      if (!said.deletes && said.value.size() <= routing::kLongestId && set.size() < 4 &&
          std::find(set.begin(), set.end(), said.value) == set.end())
        set.push_back(said.value);
    if (!std::equal(set.begin(), set.end(), learned.set().begin(), learned.set().end()))
      return "a second reading finds other ids set";

    const auto deletes = [](const Said& said) { return said.deletes; };
    const std::vector<std::string> ids = expected_ids(request);
    if (!learned.deleted().empty()) {
      if (!std::all_of(last.begin(), last.end(), deletes)) return "an id is deleted and another set";
      if (ids.size() != 1 || learned.deleted().size() != 1 || learned.deleted()[0] != ids[0])
        return "another id is deleted than the request's";
    }
    const bool is_plain =
        last.size() == 1 && last[0].deletes && last[0].domain.empty() && last[0].path.empty();
    if (is_plain && ids.size() == 1 && learned.deleted().empty())
      return "an id is deleted and nobody notices";
    return {};
  }

  // What the pool adds is what a browser reads, and nothing else changes.
  std::string check_own(const http::ResponseHead& response) const {
    const std::string value(80, 'T');
    const std::string line = std::string(kOwn) + "=" + value + proxy::set_cookie_attributes(cookie_, tls_);
    net::Gather gather;
    http::write_response(response, {.via = "limpet", .date = "today", .set_cookie = line}, gather);
    const std::string sent = text_of(gather);
    http::Parser parser;
    http::ResponseHead again;
    if (!is_whole(sent) || parser.parse_response(sent, kLimits, false, again))
      return "what leaves is no answer";
    std::vector<std::string> before, after;
    for (const http::Field& field : response.fields.list)
      if (equals_ignoring_case(field.name, "set-cookie")) before.emplace_back(field.value);
    for (const http::Field& field : again.fields.list)
      if (equals_ignoring_case(field.name, "set-cookie")) after.emplace_back(field.value);
    const auto own = std::find(after.begin(), after.end(), line);
    if (own == after.end()) return "the pool's own cookie is not set";
    const std::vector<std::string> pieces = pieces_of(*own);
    if (pair_of(pieces[0]) != Pair(kOwn, value)) return "the pool's own cookie is another";
    const auto says = [&](const std::string& attribute) {
      return std::find(pieces.begin(), pieces.end(), attribute) != pieces.end();
    };
    if (!says("Path=" + cookie_.path) || says("Secure") != tls_ || says("HttpOnly") != cookie_.http_only ||
        says("Domain=a.example") != !cookie_.domain.empty() ||
        says("SameSite=Strict") != (cookie_.same_site == conf::SameSite::strict))
      return "the pool's own cookie has other attributes";
    after.erase(own);
    return before == after ? "" : "another cookie is not set as it was";
  }

  // A date in the form of RFC 9110, section 5.6.7, comes out as it went in; of any text, what is read is read
  // again out of that form.
  std::string check_dates() const {
    if (routing::parse_cookie_date(imf(seconds_)) != seconds_) return "a date is read as another";
    for (const std::string& field : fields_)
      if (const auto date = routing::parse_cookie_date(field))
        if (routing::parse_cookie_date(imf(*date)) != date) return "a date is no date";
    return {};
  }
  static std::string imf(int64_t seconds) {
    using namespace std::chrono;
    constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const sys_seconds at{std::chrono::seconds(seconds)};
    const year_month_day day{floor<days>(at)};
    const hh_mm_ss time{at - floor<days>(at)};
    char text[64];
    std::snprintf(text, sizeof text, "Sun, %02u %s %04d %02d:%02d:%02d GMT", static_cast<unsigned>(day.day()),
                  kMonths[static_cast<unsigned>(day.month()) - 1], static_cast<int>(day.year()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()));
    return text;
  }

  Choices choices_;
  size_t split_;
  bool tls_;
  conf::CookieAffinity cookie_;
  int64_t seconds_;  // of Unix time, up to the year 2286
  std::vector<std::string> fields_;
};

}  // namespace limpet::test
