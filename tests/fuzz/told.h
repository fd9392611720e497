// How a fuzz target ends a run.
#pragma once

#include <cstdio>
#include <string>

namespace limpet::test {

// Traps where there is something wrong, which it says first.
inline int told(const std::string& wrong) {
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  __builtin_trap();
}

}  // namespace limpet::test
