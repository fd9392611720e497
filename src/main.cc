#include <spdlog/spdlog.h>

#include <iostream>

#include "conf/load.h"
#include "src/balancer.h"
#include "src/command_line.h"
#include "src/log.h"
#include "src/secrets.h"

namespace {

int refuse(const limpet::conf::Faults& faults) {
  for (const limpet::conf::Fault& fault : faults) std::cerr << fault.text() << '\n';
  return limpet::kExitFault;
}

int run(const std::string& file) {
  const auto loaded = limpet::conf::load_file(file);
  if (const auto* faults = std::get_if<limpet::conf::Faults>(&loaded)) return refuse(*faults);
  const auto& settings = std::get<limpet::conf::Settings>(loaded);
  limpet::set_up_log(settings.log.level);

  const auto found = limpet::load_secrets(settings);
  if (const auto* faults = std::get_if<limpet::conf::Faults>(&found)) return refuse(*faults);
  const auto& secrets = std::get<limpet::Secrets>(found);
  for (const std::string& warning : secrets.warnings) spdlog::warn("{}", warning);
  return limpet::run_balancer(settings, secrets);
}

}  // namespace

int main(int argc, char** argv) {
  const limpet::CommandLine line =
      limpet::parse_command_line(argc, argv, LIMPET_VERSION, std::cout, std::cerr);
  switch (line.command) {
    case limpet::CommandLine::Command::run:
      return run(line.file);
    case limpet::CommandLine::Command::check:
      return limpet::check_file(line.file, std::cout, std::cerr);
    case limpet::CommandLine::Command::none:
      break;
  }
  return line.exit_code;
}
