// Any bytes as a request target: what is matched is what a plain second reading makes of it.
#include <cstdio>

#include "conf/normal_path.h"
#include "tests/support/second_reading.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string target = "/" + std::string(reinterpret_cast<const char*>(data), size);
  std::string room;
  const std::string normal(limpet::conf::normal_path(target, room));
  const std::string expected = limpet::test::second_reading(target);
  const bool has_dots = normal.find("/../") != normal.npos || normal.find("/./") != normal.npos;
  if (normal == expected && normal.starts_with('/') && normal.find("//") == normal.npos && !has_dots)
    return 0;
  std::fprintf(stderr, "%s: %s, not %s\n", target.c_str(), normal.c_str(), expected.c_str());
  __builtin_trap();
}
