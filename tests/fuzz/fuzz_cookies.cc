// Cookie and Set-Cookie fields that the fuzzer makes of bits of them and of anything.
#include "tests/fuzz/told.h"
#include "tests/support/cookie_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return limpet::test::told(limpet::test::CookieCheck::check({data, size}));
}
