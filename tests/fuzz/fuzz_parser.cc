// Messages that the fuzzer makes of bits of HTTP and of anything, in pieces: parsed, written, and read again.
#include <cstdio>

#include "tests/support/message_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string wrong = limpet::test::MessageCheck::check({data, size});
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  __builtin_trap();
}
