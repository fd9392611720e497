#include "src/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <ctime>
#include <ostream>
#include <string_view>
#include <variant>

#include "conf/load.h"
#include "conf/spelling.h"
#include "routing/loops.h"
#include "src/certificate_checks.h"
#include "src/name_warnings.h"
#include "src/secrets.h"
#include "src/status/token.h"
#include "src/user.h"
#include "src/warnings.h"

namespace limpet {
namespace {

constexpr char kPurpose[] =
    "Limpet is an HTTP load balancer that keeps every session at the server that holds it.\n"
    "It recognises clients by address, by a cookie of its own, or by the application's session id.\n";

constexpr char kFooter[] = R"(Signals:
  SIGTERM, SIGINT   stop accepting, let requests finish within shutdown_timeout, exit 0;
                    a second one exits at once
  SIGHUP            read the file again; a faulty one changes nothing
  SIGUSR1           reopen the access log, after it was rotated

Environment, for the commands that ask a running Limpet:
  LIMPET_STATUS     where it is, unless --at says so: HOST:PORT or https://HOST:PORT
  LIMPET_CA         a file with the certificates to trust, unless --ca names it
  LIMPET_TOKEN      the token for what changes anything, unless --token-file names it

Exit codes:
  0  all is well
  1  the file is at fault, Limpet could not start, does not answer or refuses, or a drain cut sessions
  2  the command line is at fault

Examples:
  limpet check /etc/limpet/limpet.toml    every fault at once, as file:line:column: key: what is wrong
  limpet run /etc/limpet/limpet.toml      in the foreground; access log on stdout, what happens to Limpet on stderr
  limpet status --watch                   pools, backends and their sessions, again every second
  limpet drain shop/app-2 --wait          until its sessions have ended, with a forecast of when that is)";

using Command = CommandLine::Command;

struct Verb {
  Command command;
  const char* name;
  const char* help;
  const char* group;
};

constexpr char kHere[] = "Commands";
constexpr char kThere[] = "Commands that ask a running Limpet";
constexpr Verb kVerbs[] = {
    {Command::run, "run", "Balance as FILE says, in the foreground", kHere},
    {Command::check, "check", "Say everything that is wrong with FILE; start nothing", kHere},
    {Command::status, "status", "Show pools, backends and their sessions", kThere},
    {Command::drain, "drain", "Let a backend's sessions end and give it no new ones", kThere},
    {Command::undrain, "undrain", "End a drain: new sessions again", kThere},
    {Command::maintenance, "maintenance", "Take a backend out of service at once", kThere},
    {Command::up, "up", "End maintenance or a drain; in service once its checks pass", kThere},
    {Command::incidents, "incidents", "Show what failures, maintenance and drains cost, the newest first",
     kThere},
    {Command::session, "session", "Show where a session lives", kThere},
    {Command::unbind, "unbind", "Forget a session", kThere},
    {Command::pin, "pin", "Move a session to another backend", kThere},
    {Command::reload, "reload", "Have the file read again; a faulty one changes nothing", kThere},
};

bool is_about_backend(Command command) {
  return command == Command::drain || command == Command::undrain || command == Command::maintenance ||
         command == Command::up;
}

std::string default_place() { return conf::Status{}.address->text(); }

// What each command takes. POOL/BACKEND is put into `both`.
void add_arguments(CLI::App& app, Command command, CommandLine& asked, std::string& both) {
  const auto argument = [&app](const char* name, std::string& into, const char* help) {
    app.add_option(name, into, help)->required()->option_text(" ");
  };
  if (command == Command::run || command == Command::check)
    return argument("FILE", asked.file, "The configuration, in TOML");
  if (is_about_backend(command)) argument("POOL/BACKEND", both, "Both by their names");
  if (command == Command::session)
    argument("KEY", asked.session, "The session's id, its cookie's value, or an address");
  if (command == Command::unbind || command == Command::pin) {
    argument("POOL", asked.pool, "The pool's name");
    argument("KEY", asked.session, "The session's id, its cookie's value, or an address");
  }
  if (command == Command::pin) argument("BACKEND", asked.backend, "Where to, by its name");
  if (command == Command::status) app.add_flag("--watch", asked.watch, "Show it again every second");
  if (command == Command::drain) {
    app.add_flag("--wait", asked.wait, "Show how it goes on, until it is over; exit 1 if sessions were cut");
    app.add_flag(
        "--known-only", asked.known_only,
        "Though Limpet has run for less than idle_timeout, wait for no sessions that it does not know");
  }
  if (command == Command::up)
    app.add_flag("--wait", asked.wait, "Until its checks have passed and it is in service");
  app.add_flag("--json", asked.json, "As JSON");
  app.add_option("--at", asked.at,
                 "Where its status endpoint is (" + default_place() + "), or https://HOST:PORT")
      ->option_text("HOST:PORT");
  app.add_option("--ca", asked.ca,
                 "Ask by TLS, and trust the certificates in FILE (https:// alone: the system's)")
      ->option_text("FILE");
  app.add_option("--token-file", asked.token_file, "A file with the token, for what changes anything")
      ->option_text("FILE");
}

std::string from_environment(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

std::string summary(const conf::Settings& settings) {
  size_t backends = 0;
  for (const conf::Pool& pool : settings.pools) backends += pool.backends.size();
  return conf::counted(settings.listeners.size(), "listener") + ", " +
         conf::counted(settings.pools.size(), "pool") + ", " + conf::counted(backends, "backend");
}

// What the file names is read as `run` would read it.
void become_user(const conf::Settings& settings, conf::Findings& findings) {
  check_user(settings, findings);
  if (settings.user.empty() || geteuid() != 0 || !findings.none()) return;
  if (const std::string wrong = become(settings.user); !wrong.empty())
    findings.fault("user", conf::in_quotes(settings.user) + " " + wrong);
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version,
                               std::ostream& out, std::ostream& err) {
  CommandLine asked;
  asked.at = from_environment("LIMPET_STATUS", default_place());
  asked.token = from_environment("LIMPET_TOKEN", "");
  asked.ca = from_environment("LIMPET_CA", "");
  CLI::App app(kPurpose, "limpet");
  app.footer(kFooter);
  app.set_version_flag("-V,--version", "limpet " + version, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this and exit");
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(24);
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");

  std::string both;
  for (const Verb& verb : kVerbs) {
    CLI::App* const command = app.add_subcommand(verb.name, verb.help);
    command->group(verb.group);
    command->footer("");
    add_arguments(*command, verb.command, asked, both);
    command->callback([&asked, &verb] {
      asked.command = verb.command;
      asked.name = verb.name;
    });
  }

  const auto misused = [&asked] {
    asked.command = Command::none;
    asked.exit_code = kExitMisused;
    return asked;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool is_answer = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error, out, err);
    misused();
    if (is_answer) asked.exit_code = kExitOk;
    return asked;
  }
  if (asked.command == Command::none) {
    err << app.help();
    return misused();
  }
  if (is_about_backend(asked.command)) {
    const size_t slash = both.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == both.size()) {
      err << "which backend of which pool? limpet " << asked.name << " POOL/BACKEND\n";
      return misused();
    }
    asked.pool = both.substr(0, slash);
    asked.backend = both.substr(slash + 1);
  }
  return asked;
}

int check_file(const std::string& file, std::ostream& out, std::ostream& err) {
  const auto say = [&err](const conf::Faults& faults) {
    for (const conf::Fault& fault : faults) err << fault.text() << '\n';
  };
  const auto further = [](const conf::Settings& settings, conf::Findings& findings) {
    routing::check_loops(settings, findings);
    become_user(settings, findings);
    check_certificates(settings, findings);
  };
  const uid_t started_as = geteuid();
  const auto refuse = [&] {
    if (geteuid() != started_as) err << file << ": what it names was read as its `user`\n";
    return kExitFault;
  };
  const std::variant<conf::Settings, conf::Faults> loaded = conf::load_file(file, further);
  if (const auto* faults = std::get_if<conf::Faults>(&loaded)) return say(*faults), refuse();

  // What the file names, as `run` would find it.
  const auto& settings = std::get<conf::Settings>(loaded);
  const std::variant<Secrets, conf::Faults> found = check_secrets(settings);
  const auto* secrets = std::get_if<Secrets>(&found);
  const status::LoadedToken token = status::load_token(settings.status);
  if (secrets == nullptr) say(std::get<conf::Faults>(found));
  if (!token.wrong.empty()) err << file << ": " << token.wrong << '\n';
  if (secrets == nullptr || !token.wrong.empty()) return refuse();

  for (const std::string& warning : secrets->warnings) err << file << ": warning: " << warning << '\n';
  if (!token.warning.empty()) err << file << ": warning: " << token.warning << '\n';
  if (!settings.user.empty())
    for (const std::string& warning : out_of_reach(file, settings))
      err << file << ": warning: " << warning << '\n';
  for (const std::string& warning : warnings(settings, net::Descriptors(net::file_limit)))
    err << file << ": warning: " << warning << '\n';
  for (const std::string& warning : certificate_warnings(settings, std::time(nullptr)))
    err << file << ": warning: " << warning << '\n';
  for (const std::string& warning : name_warnings(settings)) err << file << ": warning: " << warning << '\n';
  out << file << ": ok, " << summary(settings) << '\n';
  return kExitOk;
}

}  // namespace limpet
