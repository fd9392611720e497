// The fuzzer decides what clients and backends say over HTTP/2, in frames of theirs and of its own, and when.
#include "tests/fuzz/same_random.h"
#include "tests/fuzz/told.h"
#include "tests/support/h2_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  limpet::test::begin_same_random();
  return limpet::test::told(limpet::test::H2Script::play({data, size}).wrong);
}
