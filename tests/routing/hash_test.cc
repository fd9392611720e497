#include "routing/hash.h"

#include <doctest/doctest.h>

#include <bit>
#include <set>

#include "tests/routing/random_inputs.h"

namespace limpet::routing::hash_test {

using Kind = limpet::conf::AffinityKind;

TEST_CASE("balancers that share a secret agree on a key's hash, and others do not") {
  const KeyedHash one(std::string(32, 's')), same(std::string(32, 's')), other(std::string(32, 't'));
  CHECK(one.of(Kind::session_id, "abc") == same.of(Kind::session_id, "abc"));
  CHECK(one.of(Kind::session_id, "abc") != other.of(Kind::session_id, "abc"));
}

TEST_CASE("the same bytes hash apart for each kind of key") {
  const KeyedHash hash(std::string(32, 's'));
  std::set<uint64_t> hashes;
  for (const Kind kind : {Kind::ip, Kind::cookie, Kind::session_id})
    hashes.insert(hash.of(kind, "0123456789abcdef"));
  CHECK(hashes.size() == 3);
}

TEST_CASE("every byte of a key counts, at every length") {
  LIMPET_RANDOM_INPUTS(201);
  const KeyedHash hash(std::string(32, 's'));
  for (size_t size = 1; size < 300; size += 7) {
    std::string key = inputs.bytes(size);
    const uint64_t before = hash.of(Kind::session_id, key);
    key[inputs.below(size)] ^= 1;
    CHECK(hash.of(Kind::session_id, key) != before);
  }
}

TEST_CASE("a bit of the secret changes about half of a hash's bits") {
  LIMPET_RANDOM_INPUTS(202);
  std::string secret = inputs.bytes(32);
  const KeyedHash before(secret);
  secret[inputs.below(32)] ^= 4;
  const KeyedHash after(secret);
  int changed = 0;
  constexpr int kRounds = 1000;
  for (int i = 0; i < kRounds; ++i) {
    const std::string key = inputs.bytes(16);
    changed += std::popcount(before.of(Kind::ip, key) ^ after.of(Kind::ip, key));
  }
  CHECK(changed / kRounds >= 30);
  CHECK(changed / kRounds <= 34);
}

TEST_CASE("a backend's id is the same everywhere and for ever") {
  CHECK(backend_id("app-1") == backend_id(std::string("app-") + "1"));
  CHECK(backend_id("app-1") != backend_id("app-2"));
  CHECK(backend_id("") ==
        0x2d06800538d394c2);  // XXH3's own test vector for no bytes: tokens outlive releases
}

}  // namespace limpet::routing::hash_test
