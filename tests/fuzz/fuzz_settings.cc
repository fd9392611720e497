// Configuration files that the fuzzer makes of keys, of values and of anything. One of ASCII stands for
// itself.
#include "tests/fuzz/same_random.h"
#include "tests/fuzz/told.h"
#include "tests/support/settings_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  limpet::test::begin_same_random();
  return limpet::test::told(limpet::test::SettingsCheck::check({data, size}).wrong);
}
