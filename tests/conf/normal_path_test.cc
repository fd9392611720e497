#include "conf/normal_path.h"

#include <doctest/doctest.h>

#include "tests/routing/random_inputs.h"
#include "tests/support/second_reading.h"

namespace limpet::conf::normal_path_test {

using limpet::test::second_reading;

std::string normal(std::string_view target) {
  std::string room;
  return std::string(normal_path(target, room));
}

TEST_CASE("of the spellings of one path the normal one is matched (RFC 3986, 6.2.2)") {
  for (const char* target : {"/api", "/api?x=/../y", "/%61pi", "/%61%70%69", "//api", "///api", "/./api",
                             "/x/../api", "/x//../api", "/%2e/api", "/x/%2E%2e/api", "/../api",
                             "/x/y/../../api", "/x;v=1/../api", "/x/..;v=1/api", "/.;/api"}) {
    CAPTURE(target);
    CHECK(normal(target) == "/api");
  }
  CHECK(normal("/api/") == "/api/");
  CHECK(normal("/api/.") == "/api/");
  CHECK(normal("/api/x/..") == "/api/");
  CHECK(normal("/api//") == "/api/");
  CHECK(normal("/") == "/");
  CHECK(normal("//") == "/");
  CHECK(normal("/..") == "/");
  CHECK(normal("/../../..") == "/");
  CHECK(normal("*") == "/");
  CHECK(normal("") == "/");
  CHECK(normal("?x") == "/");
}

TEST_CASE("what is not unreserved stays as it is written") {
  for (const char* target :
       {"/a%2fb", "/a%2Fb", "/a%5cb", "/a%00b", "/%25%32%65", "/a%", "/a%6", "/a%6g", "/a%zz", "/...", "/.a",
        "/a.", "/a..", "/a;v=1", "/a;jsessionid=X.node0", "/%C3%A9", "/a\\..\\b"}) {
    CAPTURE(target);
    std::string expected = target;
    if (expected == "/%25%32%65") expected = "/%252e";  // once, not twice
    CHECK(normal(target) == expected);
  }
}

TEST_CASE("what no two servers read alike is told") {
  for (const char* target : {"/a%2fb", "/a%2Fb", "/a%5Cb", "/%00", "/a\\b", "/a/..%2f..%2fb"})
    CHECK(is_ambiguous(target));
  for (const char* target : {"/a/b", "/a%2eb", "/a?x=%2f", "/a%252fb", "/a%2", "*"})
    CHECK_FALSE(is_ambiguous(target));
}

TEST_CASE("any path has the normal form that a plain second reading gives it, which is its own normal form") {
  const char* const pieces[] = {"/",   "/",   ".",   "..", "a",  "b",   ";",  "%2e",
                                "%2E", "%61", "%2f", "%",  "%6", "x=1", "\\", "%00"};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    LIMPET_RANDOM_INPUTS(seed);
    for (int i = 0; i < 5000; ++i) {
      std::string target = "/";
      for (uint64_t count = inputs.below(9); count != 0; --count)
        target += pieces[inputs.below(std::size(pieces))];
      CAPTURE(target);
      const std::string once = normal(target);
      REQUIRE(once == second_reading(target));
      REQUIRE(once.find("//") == std::string::npos);
      if (target.find("%") == std::string::npos) REQUIRE(normal(once) == once);
    }
  }
}

}  // namespace limpet::conf::normal_path_test
