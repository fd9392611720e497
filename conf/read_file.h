// Reads what an operator names as a file, and only if it is one: a pipe, a terminal or a device could keep
// its reader waiting for ever.
#pragma once

#include <cstddef>
#include <string>

namespace limpet::conf {

struct FileText {
  std::string text;   // at most so many bytes as were asked for
  std::string wrong;  // why there is none, "cannot be opened: No such file or directory"; empty: there is
  int error = 0;      // the errno of opening it, 0 where that went well
  unsigned mode = 0;  // its permissions, as of chmod(2)
};

// The first `most` bytes.
FileText read_file(const std::string& path, size_t most);

}  // namespace limpet::conf
