// TLS streams against OpenSSL, with whatever between the two that the fuzzer thinks of.
#include "tests/fuzz/same_random.h"
#include "tests/fuzz/told.h"
#include "tests/support/tls_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  limpet::test::begin_same_random();
  return limpet::test::told(limpet::test::TlsScript::play({data, size}).wrong);
}
