#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "conf/load.h"
#include "conf/spelling.h"
#include "routing/loops.h"
#include "src/balancer.h"
#include "src/command_line.h"
#include "src/commands.h"
#include "src/log.h"
#include "src/net/descriptors.h"
#include "src/secrets.h"
#include "src/signals.h"
#include "src/user.h"

namespace {

// Whoever started this process may have closed some of the three; what is opened first would take their
// place, and the logs would be written into it.
void open_standard_descriptors() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

int refuse(const limpet::conf::Faults& faults, limpet::Log& log) {
  std::string lines;
  for (const limpet::conf::Fault& fault : faults) lines += fault.text() + '\n';
  log.write(lines);
  return limpet::kExitFault;
}

int run(const std::string& file) {
  limpet::hold_signals();
  std::signal(SIGPIPE, SIG_IGN);
  limpet::Log log;
  auto loaded = limpet::conf::load_file(file, limpet::routing::check_loops);
  if (const auto* faults = std::get_if<limpet::conf::Faults>(&loaded)) return refuse(*faults, log);
  const auto settings =
      std::make_shared<const limpet::conf::Settings>(std::move(std::get<limpet::conf::Settings>(loaded)));
  log.set_level(settings->log.level);

  if (const std::string& user = settings->user; !user.empty()) {
    if (const std::string wrong = limpet::become(user); !wrong.empty())
      return refuse({{.file = file, .key = "user", .message = limpet::conf::in_quotes(user) + " " + wrong}},
                    log);
    spdlog::info("files are read, and everything is served, as user {}", user);
    for (const std::string& line : limpet::out_of_reach(file, *settings)) spdlog::warn("{}", line);
  }
  const auto found = limpet::load_secrets(*settings);
  if (const auto* faults = std::get_if<limpet::conf::Faults>(&found)) return refuse(*faults, log);
  const auto& secrets = std::get<limpet::Secrets>(found);
  for (const std::string& warning : secrets.warnings) spdlog::warn("{}", warning);
  return limpet::run_balancer(file, settings, secrets, log);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  limpet::hide_memory();
  const limpet::CommandLine line =
      limpet::parse_command_line(argc, argv, LIMPET_VERSION, std::cout, std::cerr);
  switch (line.command) {
    case limpet::CommandLine::Command::run:
      return run(line.file);
    case limpet::CommandLine::Command::check:
      limpet::net::raise_file_limit();  // as `run` does
      return limpet::check_file(line.file, std::cout, std::cerr);
    case limpet::CommandLine::Command::none:
      return line.exit_code;
    default:
      return limpet::run_command(line, {std::cout, std::cerr, limpet::terminal_columns()});
  }
}
