#include "routing/random.h"

#include <openssl/rand.h>

#include <stdexcept>

namespace limpet::routing {

uint64_t random_seed() {
  uint64_t seed = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed) != 1)
    throw std::runtime_error("no random bytes");
  return seed;
}

}  // namespace limpet::routing
