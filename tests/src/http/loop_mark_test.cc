// A request that has been here before is known by the mark in its Via.
#include "src/http/loop_mark.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <set>
#include <string>

namespace limpet::http::loop_mark_test {

const std::string kMark(LoopMark(0xdeadbeef).text());

bool is_marked(std::initializer_list<std::string> via) {
  Fields fields;
  fields.add("Host", kMark);
  for (const std::string& value : via) fields.add("via", value);
  return LoopMark(0xdeadbeef).is_in(fields);
}

TEST_CASE("a mark is sixteen letters, and every number has its own") {
  std::set<std::string> marks;
  for (int bit = 0; bit < 64; ++bit) marks.emplace(LoopMark(uint64_t{1} << bit).text());
  for (uint64_t number = 0; number < 1000; ++number) marks.emplace(LoopMark(~number).text());
  CHECK(marks.size() == 1064);
  for (const std::string& mark : marks) {
    CHECK(mark.size() == 16);
    CHECK(mark.find_first_not_of("abcdefghijklmnop") == std::string::npos);
  }
}

TEST_CASE("a mark is found in whatever way proxies write Via") {
  const std::string hop = "1.1 limpet (" + kMark + ")";
  CHECK(is_marked({hop}));
  CHECK(is_marked({hop + ", 1.0 cache"}));
  CHECK(is_marked({"HTTP/1.1 first, " + hop + ",1.1 last (x)"}));
  CHECK(is_marked({"1.1 first", hop, "1.1 last"}));
  CHECK(is_marked({"1.1 first (came by (" + hop + "))"}));
}

TEST_CASE("neither another mark nor the same letters elsewhere are taken for it") {
  CHECK_FALSE(is_marked({}));
  CHECK_FALSE(is_marked({"1.1 limpet (" + std::string(LoopMark(0xdeadbeee).text()) + ")"}));
  CHECK_FALSE(is_marked({"1.1 limpet (" + kMark.substr(1) + ")", "1.1 limpet"}));
}

}  // namespace limpet::http::loop_mark_test
