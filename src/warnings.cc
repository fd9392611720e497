#include "src/warnings.h"

#include <utility>

#include "conf/warnings.h"

namespace limpet {

std::vector<std::string> warnings(const conf::Settings& settings, const net::Descriptors& descriptors) {
  std::vector<std::string> lines = conf::warnings(settings);
  uint64_t connections = 0;
  for (const conf::Listener& listener : settings.listeners) connections += listener.limits.connections;
  if (std::string line = descriptors.too_few_for(connections); !line.empty())
    lines.push_back(std::move(line));
  return lines;
}

}  // namespace limpet
