// What the person at the command line asked for.
#pragma once

#include <iosfwd>
#include <string>

namespace limpet {

// Exit codes, as --help tells them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFault = 1;     // the file is at fault, or the process could not start
inline constexpr int kExitMisused = 2;   // the command line is at fault
inline constexpr int kExitForced = 130;  // a second signal: what was under way is cut

struct CommandLine {
  enum class Command : uint8_t { run, check, none };
  Command command = Command::none;  // none: everything asked for was said already
  std::string file;
  int exit_code = kExitOk;  // for none
};

// Help and the version go to `out`; what is wrong with the command line to `err`.
CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version,
                               std::ostream& out, std::ostream& err);

// `limpet check FILE`: every fault to `err`, one on a line, or what the file holds to `out`. Returns the exit
// code.
int check_file(const std::string& file, std::ostream& out, std::ostream& err);

}  // namespace limpet
