#include "health/instances.h"

#include <doctest/doctest.h>

#include <initializer_list>

namespace limpet::health::instances_test {

constexpr std::optional<uint64_t> kMissing;
const std::string kAlternates =
    "its instance_header alternates: more than one server answers at this address; it is ignored";
const std::string kChangesAlways =
    "its instance_header changes with each check, as no boot id does; it is ignored";

conf::HealthCheck question() {
  conf::HealthCheck check;
  check.kind = conf::HealthCheck::Kind::http;
  check.instance_header = "X-Instance";
  return check;
}

struct Seen {
  Seen() { instances.asks(question()); }
  // How many of these values told of a restart.
  int restarts(std::initializer_list<std::optional<uint64_t>> values) {
    int count = 0;
    for (const auto& value : values) count += instances.saw(value);
    return count;
  }
  int restarts(uint64_t value, uint32_t times) {
    int count = 0;
    while (times-- > 0) count += instances.saw(value);
    return count;
  }
  Instances instances;
};

TEST_CASE("the first value ever says nothing, nor does the same once more") {
  Seen it;
  CHECK(it.restarts({1, 1, 1}) == 0);
  CHECK(it.instances.doubt() == "");
}

TEST_CASE("a new value tells of a restart, once") {
  Seen it;
  CHECK(it.restarts({1, 1, 2}) == 1);
  CHECK(it.instances.news() == "instance_header X-Instance has a new value");
  CHECK(it.restarts({2, 2, 2}) == 0);
  CHECK(it.restarts({3}) == 1);
  CHECK(it.restarts({3, 3, 4, 4}) == 1);
  CHECK(it.instances.doubt() == "");
}

TEST_CASE("a missing value is no verdict") {
  Seen it;
  CHECK(it.restarts({kMissing, 1, kMissing, 1, kMissing}) == 0);
  CHECK(it.restarts({2}) == 1);
  CHECK(it.restarts({kMissing, 2, kMissing}) == 0);
  CHECK(it.instances.doubt() == "");
}

TEST_CASE("values that alternate are ignored from then on") {
  Seen it;
  CHECK(it.restarts({1, 2}) == 1);
  CHECK(it.instances.doubt() == "");
  CHECK(it.restarts({1}) == 0);
  CHECK(it.instances.doubt() == kAlternates);
  CHECK(it.restarts({2, 2, 1, 2, 1, 1, 1}) == 0);
  CHECK(it.restarts({3, 1, 4, 4}) == 0);
  CHECK(it.instances.doubt() == kAlternates);
}

TEST_CASE("servers that answer in turn are known as such after one round, up to eight") {
  Seen it;
  CHECK(it.restarts({1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8}) == 7);
  CHECK(it.restarts({1, 2, 3, 4, 5, 6, 7, 8, 1}) == 0);
  CHECK(it.instances.doubt() == kAlternates);
}

TEST_CASE("once the same value has come for long, a new one tells again") {
  Seen it;
  it.restarts({1, 2, 1});
  CHECK(it.restarts(1, Instances::kSteady - 2) == 0);
  CHECK(it.instances.doubt() == kAlternates);
  CHECK(it.restarts({kMissing, 1}) == 0);
  CHECK(it.instances.doubt() == "");
  CHECK(it.restarts({3}) == 1);
}

TEST_CASE("a value that was seen before never tells") {
  Seen it;
  it.restarts({1, 2, 1});
  it.restarts(1, Instances::kSteady);
  CHECK(it.instances.doubt() == "");
  CHECK(it.restarts({2}) == 0);
  CHECK(it.instances.doubt() == kAlternates);
}

TEST_CASE("what changes with each check is ignored, until it does not") {
  Seen it;
  CHECK(it.restarts({1, 2, 3, 4, 5}) == Instances::kMostChanges - 1);
  CHECK(it.instances.doubt() == "");
  CHECK(it.restarts({6, 7, 8, 9, 10, 11, 12, 13}) == 0);
  CHECK(it.instances.doubt() == kChangesAlways);
  it.restarts(13, Instances::kSteady);
  CHECK(it.instances.doubt() == "");
  CHECK(it.restarts({14}) == 1);
}

TEST_CASE("the answers to another question have values of their own") {
  Seen it;
  it.restarts({1, 2, 1});
  conf::HealthCheck other = question();
  SUBCASE("another field") { other.instance_header = "X-Boot"; }
  SUBCASE("another path") { other.path = "/up"; }
  SUBCASE("another port") { other.port = 81; }
  it.instances.asks(other);
  CHECK(it.instances.doubt() == "");
  CHECK(it.restarts({9, 9}) == 0);
  CHECK(it.restarts({1}) == 1);
}

TEST_CASE("the same question may be asked at other times") {
  Seen it;
  it.restarts({1});
  conf::HealthCheck other = question();
  other.interval = conf::Duration(60'000);
  other.rise = 9;
  it.instances.asks(other);
  CHECK(it.restarts({2}) == 1);
}

}  // namespace limpet::health::instances_test
