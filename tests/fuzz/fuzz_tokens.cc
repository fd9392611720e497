// Tokens that were sealed, changed, or never were any, as a client shows them.
#include "tests/fuzz/same_random.h"
#include "tests/fuzz/told.h"
#include "tests/support/token_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  limpet::test::begin_same_random();
  return limpet::test::told(limpet::test::TokenCheck::check({data, size}));
}
