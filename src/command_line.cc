#include "src/command_line.h"

#include <CLI/CLI.hpp>
#include <ostream>
#include <string_view>
#include <variant>

#include "conf/load.h"
#include "src/secrets.h"

namespace limpet {
namespace {

constexpr char kPurpose[] =
    "Limpet is an HTTP load balancer that keeps every session at the server that holds it.\n"
    "It recognises clients by address, by a cookie of its own, or by the application's session id.\n";

constexpr char kFooter[] = R"(Signals:
  SIGTERM, SIGINT   stop accepting, let requests finish within shutdown_timeout, exit 0;
                    a second one exits at once
  SIGUSR1           reopen the access log, after it was rotated

Exit codes:
  0    all is well                   1    the file is at fault, or Limpet could not start
  2    the command line is at fault  130  a second signal cut what was under way

Examples:
  limpet check /etc/limpet/limpet.toml    every fault at once, as file:line:column: key: what is wrong
  limpet run /etc/limpet/limpet.toml      in the foreground; access log on stdout, what happens to Limpet on stderr)";

std::string counted(size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string summary(const conf::Settings& settings) {
  size_t backends = 0;
  for (const conf::Pool& pool : settings.pools) backends += pool.backends.size();
  return counted(settings.listeners.size(), "listener") + ", " + counted(settings.pools.size(), "pool") +
         ", " + counted(backends, "backend");
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version,
                               std::ostream& out, std::ostream& err) {
  CommandLine asked;
  CLI::App app(kPurpose, "limpet");
  app.footer(kFooter);
  app.set_version_flag("-V,--version", "limpet " + version, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this and exit");
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(24);
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");

  CLI::App* run = app.add_subcommand("run", "Balance as FILE says, in the foreground");
  CLI::App* check = app.add_subcommand("check", "Say everything that is wrong with FILE; start nothing");
  for (CLI::App* command : {run, check}) {
    command->group("Commands");
    command->footer("");
    command->add_option("FILE", asked.file, "The configuration, in TOML")->required()->option_text(" ");
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool is_answer = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error, out, err);
    asked.exit_code = is_answer ? kExitOk : kExitMisused;
    return asked;
  }
  if (run->parsed()) {
    asked.command = CommandLine::Command::run;
  } else if (check->parsed()) {
    asked.command = CommandLine::Command::check;
  } else {
    err << app.help();
    asked.exit_code = kExitMisused;
  }
  return asked;
}

int check_file(const std::string& file, std::ostream& out, std::ostream& err) {
  const std::variant<conf::Settings, conf::Faults> loaded = conf::load_file(file);
  const auto* settings = std::get_if<conf::Settings>(&loaded);
  const conf::Faults faults = settings != nullptr ? check_secrets(*settings) : std::get<conf::Faults>(loaded);
  for (const conf::Fault& fault : faults) err << fault.text() << '\n';
  if (!faults.empty()) return kExitFault;
  out << file << ": ok, " << summary(*settings) << '\n';
  return kExitOk;
}

}  // namespace limpet
