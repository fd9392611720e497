// Chunked bodies that the fuzzer makes of bits of them and of anything, in pieces.
#include "tests/fuzz/told.h"
#include "tests/support/chunk_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return limpet::test::told(limpet::test::ChunkCheck::check({data, size}));
}
