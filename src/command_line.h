// What the person at the command line asked for.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

namespace limpet {

// Exit codes, as --help tells them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFault = 1;  // the file is at fault, the process could not start, or it was refused
inline constexpr int kExitMisused = 2;   // the command line is at fault
inline constexpr int kExitForced = 130;  // a second signal: what was under way is cut

struct CommandLine {
  enum class Command : uint8_t {
    run,
    check,
    // These ask a Limpet that runs:
    status,
    incidents,
    session,
    drain,
    undrain,
    maintenance,
    up,
    unbind,
    pin,
    reload,
    none,  // everything asked for was said already
  };
  Command command = Command::none;
  std::string name;         // the command's own
  std::string file;         // run, check
  int exit_code = kExitOk;  // for none

  // Of those that ask.
  std::string at;     // where its status endpoint is, as it was written
  std::string token;  // of the environment
  std::string token_file;
  std::string ca;  // a file with the certificates that are trusted, by TLS; empty: the system's
  std::string pool, backend, session;
  bool json = false;
  bool watch = false;       // status: again and again
  bool wait = false;        // drain: until it is over
  bool known_only = false;  // drain: for no session that the process does not know
};

// Help and the version go to `out`; what is wrong with the command line to `err`.
CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version,
                               std::ostream& out, std::ostream& err);

// `limpet check FILE`: every fault to `err`, one on a line, or what the file holds to `out`; also what
// `limpet run` would refuse, or warn of, in the key file and the token file, and what is to be known of
// backends' names. Root becomes the file's `user` for it. Returns the exit code.
int check_file(const std::string& file, std::ostream& out, std::ostream& err);

}  // namespace limpet
