// The fuzzer decides who does what and when: clients, backends, the network and the clock. A run with the
// environment variable TRACE set prints the events, to read what a found input does.
#include <cstdio>
#include <cstdlib>

#include "tests/support/exchange_script.h"

// The same input plays the same way: what is drawn at random is not.
static unsigned char next_byte = 0;
extern "C" int RAND_bytes(unsigned char* out, int size) {
  for (int i = 0; i < size; ++i) out[i] = next_byte = static_cast<unsigned char>(next_byte * 5 + 13);
  return 1;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool traced = std::getenv("TRACE") != nullptr;
  std::string trace;
  next_byte = 0;
  const std::string wrong = limpet::test::ExchangeScript::play({data, size}, traced ? &trace : nullptr).wrong;
  if (traced) std::fputs(trace.c_str(), stderr);
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  __builtin_trap();
}
