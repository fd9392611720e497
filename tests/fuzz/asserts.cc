// The asserts of what fuzz targets share with unit tests: one that fails ends the process.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

namespace {

void trap(const doctest::AssertData& assert) {
  std::fprintf(stderr, "%s:%d: %s\n", assert.m_file, assert.m_line, assert.m_expr);
  __builtin_trap();
}

struct Asserts {
  Asserts() {
    context.setAssertHandler(trap);
    context.setAsDefaultForAssertsOutOfTestCases();
  }
  doctest::Context context;
} asserts;

}  // namespace
