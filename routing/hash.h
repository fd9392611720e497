// The hashes that routing works with. Affinity keys are hashed under a secret, so that a client who chooses
// its key cannot choose where in the table, or at which backend, it lands; a backend's id is the same for
// everybody.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "conf/settings.h"

namespace limpet::routing {

// XXH3-64 (https://github.com/Cyan4973/xxHash, XXH3_64bits_withSecret) under a secret of its own for each
// kind of key, so that an address and an id of the same bytes have nothing in common. XXH3 is fast, not
// cryptographic: the secret makes collisions impractical to aim at without seeing hashes, and hashes leave
// the process only in part, in sealed tokens.
class KeyedHash {
 public:
  // `secret`: the operator's or the process's, 32 bytes. Balancers that share it agree on every key's hash.
  explicit KeyedHash(std::string_view secret);

  uint64_t of(conf::AffinityKind kind, std::string_view bytes) const;

 private:
  static constexpr size_t kSecretSize = 192;                 // XXH3_SECRET_DEFAULT_SIZE
  std::array<std::array<uint8_t, kSecretSize>, 3> secrets_;  // by AffinityKind
};

// What tokens and rendezvous hashing call a backend: unkeyed, alike in every balancer, for a name's whole
// life.
uint64_t backend_id(std::string_view name);

// 32 bits of a key, never 0.
constexpr uint32_t short_hash(uint64_t key) {
  const auto half = static_cast<uint32_t>(key >> 32);
  return half != 0 ? half : 1;
}

// A bijection of 64 bits in which every input bit reaches every output bit (the finalizer of SplitMix64;
// Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
constexpr uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace limpet::routing
