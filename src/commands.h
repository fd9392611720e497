// The commands that ask a running Limpet, over its status endpoint.
#pragma once

#include <chrono>
#include <iosfwd>

#include "src/command_line.h"

namespace limpet {

// Where a command speaks.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  size_t columns = 0;  // of `out`; 0: it is no terminal, so nothing is drawn over
};

// Does what was asked, and returns the exit code. `every`: how long to wait between two looks.
int run_command(const CommandLine& asked, const Terminal& terminal,
                std::chrono::milliseconds every = std::chrono::seconds(1));

// Of standard output; 0: it is none.
size_t terminal_columns();

}  // namespace limpet
