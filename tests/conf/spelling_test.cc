#include "conf/spelling.h"

#include <doctest/doctest.h>

#include <random>

namespace limpet::conf::spelling_test {

using Words = std::vector<std::string>;

TEST_CASE("the edit distance counts what a finger gets wrong") {
  CHECK(edit_distance("affinity", "affinity") == 0);
  CHECK(edit_distance("afinity", "affinity") == 1);    // left out
  CHECK(edit_distance("afffinity", "affinity") == 1);  // doubled
  CHECK(edit_distance("affenity", "affinity") == 1);   // another
  CHECK(edit_distance("affiniyt", "affinity") == 1);   // swapped
  CHECK(edit_distance("Session-ID", "session_id") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("ca", "abc") == 3);  // no letter is touched twice
}

TEST_CASE("the edit distance is the same both ways and at most the longer word") {
  std::mt19937 random(99);
  const auto word = [&] {
    std::string out;
    for (auto n = random() % 9; n > 0; --n) out += static_cast<char>('a' + random() % 3);
    return out;
  };
  for (int i = 0; i < 5'000; ++i) {
    const std::string a = word(), b = word();
    CAPTURE(a);
    CAPTURE(b);
    REQUIRE(edit_distance(a, b) == edit_distance(b, a));
    REQUIRE(edit_distance(a, b) <= std::max(a.size(), b.size()));
    REQUIRE((edit_distance(a, b) == 0) == (a == b));
  }
}

TEST_CASE("what a terminal would obey, and a reader would not see, is escaped") {
  CHECK(escaped("caf\u00e9 \u65e5\u672c \U0001f41a") == "caf\u00e9 \u65e5\u672c \U0001f41a");
  CHECK(escaped("a\x1b[31mb\r\n\x7f") == "a\\x1b[31mb\\x0d\\x0a\\x7f");
  CHECK(escaped("\u202egpj") == "\\xe2\\x80\\xaegpj");  // right to left
  CHECK(escaped("\u2066x\u2069\u200e\ufeff\u2028") ==
        "\\xe2\\x81\\xa6x\\xe2\\x81\\xa9\\xe2\\x80\\x8e\\xef\\xbb\\xbf\\xe2\\x80\\xa8");
  CHECK(escaped("\xc2\x9b") == "\\xc2\\x9b");           // a control sequence of one character
  CHECK(escaped("\xff\xc0\x80\xed\xa0\x80\xe2\x82") ==  // no UTF-8, a surrogate, a character that is cut
        "\\xff\\xc0\\x80\\xed\\xa0\\x80\\xe2\\x82");
}

TEST_CASE("only a slip has a nearest word") {
  const Words keys = {"head", "body", "idle", "keep_alive"};
  CHECK(nearest("haed", keys) == "head");
  CHECK(nearest("keepalive", keys) == "keep_alive");
  CHECK(nearest("keep-alive", keys) == "keep_alive");
  CHECK(nearest("tunnel", keys) == std::nullopt);
  CHECK(nearest("x", keys) == std::nullopt);
  CHECK(nearest("", keys) == std::nullopt);
  CHECK(nearest("x", {"y"}) == std::nullopt);
  CHECK(nearest("head", {}) == std::nullopt);
}

TEST_CASE("the nearest of several is the one with the fewest edits") {
  CHECK(nearest("mask_v5", {"mask_v46", "mask_v4"}) == "mask_v4");
}

TEST_CASE("a hint names the nearest word, or else everything") {
  CHECK(hint("haed", {"head", "body"}, '`') == "did you mean `head`?");
  CHECK(hint("tunnel", {"head", "body"}, '"') == "accepted: \"head\", \"body\"");
}

TEST_CASE("a hint lists the first of very many") {
  CHECK(hint("tunnel", std::vector<std::string>(40, "x"), '"').ends_with(", \"x\""));
  CHECK(hint("tunnel", std::vector<std::string>(42, "x"), '"').ends_with(", \"x\" and 2 more"));
}

TEST_CASE("what an operator wrote is shown in one line and cut short") {
  CHECK(in_quotes("plain") == "\"plain\"");
  CHECK(in_quotes("a\nb\x1b[31m\x7f") == "\"a\\x0ab\\x1b[31m\\x7f\"");
  CHECK(shown(std::string(40, 'x')) == std::string(40, 'x'));
  CHECK(shown(std::string(41, 'x')) == std::string(40, 'x') + "...");
  CHECK(shown("zürich") == "zürich");
  CHECK(shown(std::string(39, 'x') + "ü") == std::string(39, 'x') + "...");  // no half character
}

TEST_CASE("a duration is its two largest units") {
  CHECK(duration_words(0) == "0 s");
  CHECK(duration_words(-5) == "0 s");
  CHECK(duration_words(59) == "59 s");
  CHECK(duration_words(60) == "1 min");
  CHECK(duration_words(184) == "3 min 4 s");
  CHECK(duration_words(3600) == "1 h");
  CHECK(duration_words(3600 + 59) == "1 h");
  CHECK(duration_words(7260) == "2 h 1 min");
  CHECK(duration_words(3 * 86400 + 4 * 3600 + 300) == "3 d 4 h");
}

TEST_CASE("one is counted as one") {
  CHECK(counted(0, "session") == "0 sessions");
  CHECK(counted(1, "session") == "1 session");
  CHECK(counted(2, "session") == "2 sessions");
}

}  // namespace limpet::conf::spelling_test
