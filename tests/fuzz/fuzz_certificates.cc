// Files of certificates and keys that the fuzzer makes of good ones, of bits of PEM and of anything.
#include "tests/fuzz/same_random.h"
#include "tests/fuzz/told.h"
#include "tests/support/certificate_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  limpet::test::begin_same_random();
  return limpet::test::told(limpet::test::CertificateCheck::check({data, size}).wrong);
}
