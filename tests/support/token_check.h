// What must hold of tokens: whatever a client shows, what opens is what was sealed for this pool by one of
// its keys, and of several the one counts that is the youngest of age.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "routing/seconds.h"
#include "routing/token.h"
#include "routing/token_cookie.h"
#include "src/status/token.h"
#include "tests/support/choices.h"

namespace limpet::test {

class TokenCheck {
 public:
  static std::string check(std::span<const uint8_t> bytes) { return TokenCheck(bytes).run(); }

 private:
  using Token = routing::Token;

  static constexpr uint32_t kNow = 1'700'010'000;
  static constexpr size_t kMostLookedAt = 16;  // as many as TokenCookie looks at
  static constexpr std::array<std::string_view, 8> kBits{"A", "=", "==", "+", "/", "-", "_", "\""};
  // By the old key, for this pool.
  static constexpr std::string_view kFormer =
      "g8HzGAppciNmNJRYYsEBwNZFJTsVj5cMpfDChEHsgC-jNVhmQ1jjsOosNhlfaV8ktkC_gw";
  static constexpr Token kFormerToken{0x1122334455667788, 0x99aabbccddeeff00, 1'700'000'000, 1'700'000'600};

  struct Sealers {
    const std::string before_key = std::string(32, 'k'), now_key = std::string(32, 'o');
    const routing::TokenSealer before{{before_key}, "shop"}, now{{now_key, before_key}, "shop"},
        elsewhere{{now_key}, "blog"};
  };
  static const Sealers& sealers() {
    static const Sealers made;
    return made;
  }

  explicit TokenCheck(std::span<const uint8_t> bytes) : choices_(bytes) {}

  std::string run() {
    const Token first = token(), second = token();
    const auto by_now = sealers().now.seal(first), by_before = sealers().before.seal(second),
               elsewhere = sealers().elsewhere.seal(first);
    if (!by_now || !by_before || !elsewhere) return "nothing is sealed";
    opens_ = {{*by_now, first}, {*by_before, second}, {std::string(kFormer), kFormerToken}};
    for (const std::string& text : {*by_now, *by_before, *elsewhere, std::string(kFormer)}) {
      if (sealers().now.open(text) != expected(text)) return "a token opens to another than was sealed";
      if (!routing::TokenSealer::may_be_token(text)) return "a token has another length";
    }
    if (sealers().before.open(*by_now)) return "a token opens by a key that did not seal it";

    std::vector<std::string> shown;
    const size_t count = choices_.below(24);
    for (size_t i = 0; i < count; ++i) {
      const std::array<std::string, 5> bases{*by_now, *by_before, *elsewhere, std::string(kFormer), ""};
      shown.push_back(choices_.of(bases));
      if (choices_.flip()) change(shown.back());
      if (sealers().now.open(shown.back()) != expected(shown.back()))
        return "what nobody sealed opens, or what was sealed does not";
    }
    std::string wrong = check_cookies(shown);
    return wrong.empty() ? check_orders_token() : wrong;
  }

  Token token() {
    Token made;
    const std::string_view bytes = choices_.text(sizeof made);
    std::memcpy(&made, bytes.data(), bytes.size());
    if (choices_.flip()) made.renewed = kNow - static_cast<uint32_t>(choices_.below(256) * 16);
    if (choices_.flip()) made.issued = kNow - static_cast<uint32_t>(choices_.below(256) * 16);
    return made;
  }

  std::optional<Token> expected(const std::string& text) const {
    for (const auto& [sealed, token] : opens_)
      if (sealed == text) return token;
    return std::nullopt;
  }

  void change(std::string& text) {
    const size_t at = text.empty() ? 0 : choices_.below(text.size());
    switch (choices_.below(5)) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(choices_.below(256));
        break;
      case 1:
        text.erase(at, 1);
        break;
      case 2:
        text.insert(at, choices_.of(kBits));
        break;
      case 3:
        text = text.substr(0, at) + std::string(kFormer).substr(at % kFormer.size());
        break;
      default:
        text = choices_.text(choices_.below(256));
        break;
    }
  }

  // Quotes are no part of a value, and what would end one ends it.
  std::string check_cookies(const std::vector<std::string>& shown) const {
    conf::Pool pool;
    pool.name = "shop";
    pool.cookie.absolute_timeout = std::chrono::seconds(3000);
    std::atomic<uint64_t> unverified{0};
    const routing::TokenCookie cookie(pool, {sealers().now_key, sealers().before_key}, unverified);
    std::string field;
    std::vector<std::string> values;
    for (const std::string& text : shown) {
      if (text.find_first_of("; \t\"") != text.npos) continue;
      field += pool.cookie_name() + "=" + text + "; ";
      values.push_back(text);
    }
    const std::array fields{routing::Field{"Cookie", field}};
    const auto found = cookie.read({"GET", "/", fields, {}}, kNow);

    std::optional<routing::TokenCookie::Age> best;
    size_t looked_at = 0, closed = 0;
    for (const std::string& value : values) {
      if (looked_at == kMostLookedAt) break;
      looked_at += routing::TokenSealer::may_be_token(value) ? 1 : 0;
      const auto token = expected(value);
      closed += token ? 0 : 1;
      if (token) best = best ? std::min(*best, age_of(pool, *token)) : age_of(pool, *token);
    }
    if (found.has_value() != best.has_value()) return "a token is overlooked, or found where none is";
    if (unverified != closed) return "what does not open is counted wrong";
    if (!found) return {};
    if (found->age != *best || age_of(pool, found->token) != *best) return "another token counts";
    const bool is_shown = std::any_of(values.begin(), values.end(), [&](const std::string& value) {
      return expected(value) == found->token;
    });
    return is_shown ? "" : "a token counts that nobody has shown";
  }

  static routing::TokenCookie::Age age_of(const conf::Pool& pool, const Token& token) {
    using Age = routing::TokenCookie::Age;
    const uint32_t idle = routing::whole_seconds(pool.idle_timeout);
    if (routing::elapsed(token.renewed, kNow) > routing::token_life(idle)) return Age::idle;
    const uint32_t most = routing::whole_seconds(pool.cookie.absolute_timeout);
    return routing::elapsed(token.issued, kNow) > most ? Age::over : Age::good;
  }

  // The token of orders: it is as it has to be, or why it is not is said, without it.
  std::string check_orders_token() {
    const std::string text = choices_.rest_with(kBits);
    const status::LoadedToken loaded = status::check_token(text, "it");
    if (loaded.text.empty() == loaded.wrong.empty()) return "a token is taken and refused, or neither";
    const bool is_good =
        std::all_of(loaded.text.begin(), loaded.text.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (!is_good || !text.starts_with(loaded.text)) return "a token is taken that is none";
    if (!loaded.text.empty() && loaded.text.size() < conf::Status::kLeastToken)
      return "a short token is taken";
    const bool is_told =
        text.size() >= conf::Status::kLeastToken && loaded.wrong.find(text) != std::string::npos;
    return is_told ? "a token is shown" : "";
  }

  Choices choices_;
  std::vector<std::pair<std::string, Token>> opens_;
};

}  // namespace limpet::test
