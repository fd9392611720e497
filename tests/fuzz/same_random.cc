// The same input plays the same way: what OpenSSL draws at random is not.
#define OPENSSL_SUPPRESS_DEPRECATED  // there is no other way that OpenSSL's own library goes by, too
#include "tests/fuzz/same_random.h"

#include <openssl/rand.h>

#include <random>

namespace limpet::test {

namespace {

std::minstd_rand numbers;

int draw(unsigned char* out, int size) {
  for (int i = 0; i < size; ++i) out[i] = static_cast<unsigned char>(numbers() >> 8);
  return 1;
}
int is_ready() { return 1; }

}  // namespace

void begin_same_random() {
  static const RAND_METHOD method{nullptr, draw, nullptr, nullptr, draw, is_ready};
  static const int set = RAND_set_rand_method(&method);
  if (set != 1) __builtin_trap();
  numbers.seed();
}

}  // namespace limpet::test
