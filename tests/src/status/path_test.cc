#include "src/status/path.h"

#include <doctest/doctest.h>

#include <random>

namespace limpet::status::path_test {

std::vector<std::string> segments(std::string_view target) {
  const auto path = Path::parse(target);
  REQUIRE(path);
  return path->segments;
}

TEST_CASE("a path is its segments, decoded after it was split") {
  CHECK(segments("/").empty());
  CHECK(segments("/status") == std::vector<std::string>{"status"});
  CHECK(segments("/pools/a%2Fb/backends/c") == std::vector<std::string>{"pools", "a/b", "backends", "c"});
  CHECK(segments("/sessions/%00%ff%25") == std::vector<std::string>{"sessions", std::string("\0\xff%", 3)});
  CHECK(segments("/a+b") == std::vector<std::string>{"a+b"});
}

TEST_CASE("one slash at the end changes nothing, an empty segment between others stays") {
  CHECK(segments("/status/") == std::vector<std::string>{"status"});
  CHECK(segments("/a//b") == std::vector<std::string>{"a", "", "b"});
}

TEST_CASE("a query is pairs, in which a plus is a space") {
  const auto path = Path::parse("/pin?backend=app%2B1+x&&empty&other=a=b");
  REQUIRE(path);
  CHECK(path->segments == std::vector<std::string>{"pin"});
  REQUIRE(path->find("backend") != nullptr);
  CHECK(*path->find("backend") == "app+1 x");
  CHECK(*path->find("empty") == "");
  CHECK(*path->find("other") == "a=b");
  CHECK(path->find("nothing") == nullptr);
}

TEST_CASE("a percent sign without two hexadecimal digits is no path") {
  for (const char* target : {"/%", "/%1", "/a%zz", "/%1g", "/a?b=%", "/a?%2=1", "", "a", "*"}) {
    CHECK_MESSAGE(!Path::parse(target), std::string(target));
  }
}

TEST_CASE("what is encoded is one segment that decodes to the same") {
  std::mt19937 random(20260101);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 12 + 1, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::string encoded = percent_encoded(text);
    CHECK(encoded.find_first_of("/?#&=+ %\r\n", 0) == encoded.find('%'));
    REQUIRE(segments("/" + encoded + "/x") == std::vector<std::string>{text, "x"});
    const auto path = Path::parse("/?key=" + encoded);
    REQUIRE(path);
    REQUIRE(*path->find("key") == text);
  }
}

}  // namespace limpet::status::path_test
