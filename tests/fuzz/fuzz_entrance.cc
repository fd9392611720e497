// How connections begin, as the fuzzer would have it: PROXY protocol, TLS, HTTP, and who goes when.
#include "tests/fuzz/same_random.h"
#include "tests/fuzz/told.h"
#include "tests/support/entrance_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  limpet::test::begin_same_random();
  return limpet::test::told(limpet::test::EntranceScript::play({data, size}).wrong);
}
