// The fuzzer decides who does what and when: clients, backends, the network, the operator and the clock. A
// run with the environment variable TRACE set prints the events, to read what a found input does.
#include <cstdlib>

#include "tests/fuzz/same_random.h"
#include "tests/fuzz/told.h"
#include "tests/support/exchange_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool traced = std::getenv("TRACE") != nullptr;
  std::string trace;
  limpet::test::begin_same_random();
  const std::string wrong = limpet::test::ExchangeScript::play({data, size}, traced ? &trace : nullptr).wrong;
  if (traced) std::fputs(trace.c_str(), stderr);
  return limpet::test::told(wrong);
}
