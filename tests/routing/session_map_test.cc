#include "routing/session_map.h"

#include <doctest/doctest.h>

#include <unordered_map>
#include <vector>

#include "tests/routing/random_inputs.h"

namespace limpet::routing::session_map_test {

Entry session(uint64_t key, Slot home) {
  Entry entry;
  entry.key = key;
  entry.home = home;
  entry.kind = Entry::Kind::session;
  return entry;
}

TEST_CASE("a map that is told to fit takes no more room than it needs, and holds what it held") {
  SessionMap map;
  for (uint64_t i = 0; i < 10000; ++i) map.insert(session(i << 50, static_cast<Slot>(i % 100)));
  const size_t capacity = map.capacity();
  map.fit();
  CHECK(map.capacity() == capacity);
  for (uint64_t i = 1000; i < 10000; ++i) map.erase(map.find(i << 50));
  map.fit();
  CHECK(map.capacity() < 1500);
  CHECK(map.size() == 1000);
  for (uint64_t i = 0; i < 10000; ++i) {
    const Entry* const entry = map.find(i << 50);
    CHECK((entry != nullptr) == (i < 1000));
    if (entry) CHECK(entry->home == i % 100);
  }
}

TEST_CASE(
    "the map holds what a reference holds after any inserts and erasures, crowded keys and wrap-around too") {
  for (const uint64_t seed : {401u, 402u, 403u}) {
    LIMPET_RANDOM_INPUTS(seed);
    SessionMap map;
    std::unordered_map<uint64_t, Slot> reference;
    std::vector<uint64_t> keys;
    // Keys from the very end of the range all want the last places, and wrap around to the first.
    for (int i = 0; i < 300; ++i) keys.push_back(i % 2 ? inputs.number() : UINT64_MAX - inputs.below(1000));
    for (int step = 0; step < 20000; ++step) {
      const uint64_t key = keys[inputs.below(keys.size())];
      Entry* const entry = map.find(key);
      REQUIRE((entry != nullptr) == reference.contains(key));
      if (entry) {
        REQUIRE(entry->home == reference[key]);
        if (inputs.one_in(2)) {
          map.erase(entry);
          reference.erase(key);
        }
      } else {
        const auto home = static_cast<Slot>(step);
        map.insert(session(key, home));
        reference[key] = home;
      }
      REQUIRE(map.size() == reference.size());
    }
    for (const uint64_t key : keys) CHECK((map.find(key) != nullptr) == reference.contains(key));
  }
}

TEST_CASE("the map grows in small steps: never less than half full once it has grown") {
  LIMPET_RANDOM_INPUTS(404);
  SessionMap map;
  for (int i = 0; i < 20000; ++i) {
    map.insert(session(inputs.number(), 0));
    if (map.size() > 100) REQUIRE(map.size() * 100 >= map.capacity() * 63);
    REQUIRE(map.size() * 100 <= map.capacity() * 80);
  }
}

}  // namespace limpet::routing::session_map_test
