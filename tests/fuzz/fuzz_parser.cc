// Messages that the fuzzer makes of bits of HTTP and of anything, in pieces: parsed, written, and read again.
#include "tests/fuzz/told.h"
#include "tests/support/message_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return limpet::test::told(limpet::test::MessageCheck::check({data, size}));
}
