#include "routing/token.h"

#include <doctest/doctest.h>
#include <openssl/err.h>

#include <set>
#include <stdexcept>
#include <thread>

#include "tests/routing/random_inputs.h"

namespace limpet::routing::token_test {

const std::string kKey(32, 'k'), kOtherKey(32, 'o');
const Token kToken{0x1122334455667788, 0x99aabbccddeeff00, 1'700'000'000, 1'700'000'600, 0x12345678, 7};

TEST_CASE("a sealed token opens to what was sealed, whatever it holds") {
  LIMPET_RANDOM_INPUTS(101);
  const TokenSealer sealer({kKey}, "shop");
  for (int i = 0; i < 1000; ++i) {
    const Token token{inputs.number(),
                      inputs.number(),
                      static_cast<uint32_t>(inputs.number()),
                      static_cast<uint32_t>(inputs.number()),
                      static_cast<uint32_t>(inputs.number()),
                      static_cast<uint16_t>(inputs.number())};
    const auto text = sealer.seal(token);
    REQUIRE(text);
    CHECK(sealer.open(*text) == token);
  }
}

TEST_CASE("a token of the former format opens, without an id and a number of its choice") {
  const std::string_view former = "g8HzGAppciNmNJRYYsEBwNZFJTsVj5cMpfDChEHsgC-jNVhmQ1jjsOosNhlfaV8ktkC_gw";
  Token token = kToken;
  token.id = token.choice = 0;
  CHECK(TokenSealer({kOtherKey, kKey}, "shop").open(former) == token);
  CHECK_FALSE(TokenSealer({kKey}, "blog").open(former));
}

TEST_CASE("a token is 80 characters that a cookie's value may hold") {
  const auto text = TokenSealer({kKey}, "shop").seal(kToken);
  REQUIRE(text);
  CHECK(text->size() == 80);
  CHECK(text->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
        std::string::npos);
}

TEST_CASE("the same token is sealed to another text each time") {
  const TokenSealer sealer({kKey}, "shop");
  std::set<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.insert(sealer.seal(kToken).value());
  CHECK(texts.size() == 100);
}

TEST_CASE("a token made for another pool does not open") {
  const auto text = TokenSealer({kKey}, "shop").seal(kToken);
  CHECK_FALSE(TokenSealer({kKey}, "blog").open(*text));
}

TEST_CASE("a token made with another key does not open") {
  const auto text = TokenSealer({kKey}, "shop").seal(kToken);
  CHECK_FALSE(TokenSealer({kOtherKey}, "shop").open(*text));
}

TEST_CASE("the first key seals and all keys open") {
  const TokenSealer before({kKey}, "shop"), rotated({kOtherKey, kKey}, "shop"), after({kOtherKey}, "shop");
  CHECK(rotated.open(*before.seal(kToken)) == kToken);
  CHECK(after.open(*rotated.seal(kToken)) == kToken);
  CHECK_FALSE(before.open(*rotated.seal(kToken)));
}

TEST_CASE("a token with any one character changed does not open") {
  const TokenSealer sealer({kKey}, "shop");
  const std::string text = sealer.seal(kToken).value();
  for (size_t place = 0; place < text.size(); ++place) {
    for (int c = 0; c < 256; ++c) {
      if (text[place] == static_cast<char>(c)) continue;
      std::string changed = text;
      changed[place] = static_cast<char>(c);
      CAPTURE(place);
      CAPTURE(c);
      REQUIRE_FALSE(sealer.open(changed));
    }
  }
}

TEST_CASE("a token that is cut short, grown or not a token at all does not open") {
  LIMPET_RANDOM_INPUTS(102);
  const TokenSealer sealer({kKey}, "shop");
  const std::string text = sealer.seal(kToken).value();
  for (size_t size = 0; size < text.size(); ++size) CHECK_FALSE(sealer.open(text.substr(0, size)));
  CHECK_FALSE(sealer.open(text + "A"));
  CHECK_FALSE(sealer.open(text + "="));
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(sealer.open(inputs.bytes(inputs.below(100))));
}

TEST_CASE(
    "a token still opens after others have failed to, and they leave no error for TLS to stumble over") {
  const TokenSealer sealer({kKey}, "shop");
  const std::string good = sealer.seal(kToken).value();
  const std::string foreign = TokenSealer({kOtherKey}, "shop").seal(kToken).value();
  ERR_clear_error();
  for (int i = 0; i < 10; ++i) {
    CHECK_FALSE(sealer.open(foreign));
    CHECK(sealer.open(good) == kToken);
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("one byte repeated is no token, before and after others have opened") {
  const TokenSealer sealer({kKey}, "shop");
  for (const bool warm : {false, true}) {
    if (warm) REQUIRE(sealer.open(sealer.seal(kToken).value()));
    for (int c = 0; c < 256; ++c) {
      CAPTURE(c);
      CHECK_FALSE(sealer.open(std::string(TokenSealer::kTextSize, static_cast<char>(c))));
    }
  }
}

TEST_CASE("keys of a wrong size, and none at all, are refused at the start") {
  CHECK_THROWS_AS(TokenSealer({}, "shop"), std::invalid_argument);
  CHECK_THROWS_AS(TokenSealer({std::string(31, 'k')}, "shop"), std::invalid_argument);
  CHECK_THROWS_AS(TokenSealer({kKey, std::string(33, 'k')}, "shop"), std::invalid_argument);
}

TEST_CASE("many threads seal and open at once") {
  const TokenSealer sealer({kOtherKey, kKey}, "shop");
  std::atomic<int> opened{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 24; ++t) {  // more than there are lanes
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 200; ++i) {
        const Token token{t, i, 1, 2};
        if (sealer.open(sealer.seal(token).value()) == token) ++opened;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(opened == 24 * 200);
}

}  // namespace limpet::routing::token_test
