// Chunked bodies that the fuzzer makes of bits of them and of anything, in pieces.
#include <cstdio>

#include "tests/support/chunk_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string wrong = limpet::test::ChunkCheck::check({data, size});
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  __builtin_trap();
}
