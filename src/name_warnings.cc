#include "src/name_warnings.h"

#include <netinet/in.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "src/net/loop.h"

namespace limpet {

namespace {

// Of the family of which there are most: a server may have one address of each.
size_t count_servers(const net::Resolver& resolver, const std::string& name) {
  size_t v4 = 0, all = 0;
  sockaddr_storage address;
  for (; resolver.find(name, static_cast<unsigned>(all), 0, address); ++all)
    v4 += address.ss_family == AF_INET;
  return std::max(v4, all - v4);
}

std::string warning(const net::Resolver& resolver, const std::string& name) {
  const size_t servers = count_servers(resolver, name);
  if (servers == 1) return {};
  if (servers > 1) {
    return name + " has " + std::to_string(servers) +
           " addresses: sessions do not survive a change among them, if these are several servers; name each "
           "as a "
           "backend";
  }
  const std::string wrong = resolver.wrong(name);
  return name + " has no address: " + (wrong.empty() ? "no answer yet" : wrong);
}

}  // namespace

std::vector<std::string> name_warnings(const conf::Settings& settings, net::Resolver::Lookup lookup) {
  std::vector<std::pair<std::string, std::string>> places;  // what backend, and its name
  std::vector<std::string> names;
  for (const conf::Pool& pool : settings.pools) {
    for (const conf::Backend& backend : pool.backends) {
      if (backend.address.kind != conf::Address::Kind::host) continue;
      places.emplace_back("pool " + pool.name + ": backend " + backend.name, backend.address.host);
      names.push_back(backend.address.host);
    }
  }
  if (names.empty()) return {};
  const auto level = spdlog::get_level();
  spdlog::set_level(spdlog::level::off);
  std::vector<std::string> warnings;
  {
    net::Resolver resolver(std::move(lookup));
    net::Loop loop;
    resolver.start(loop.uv(), names);
    for (const auto& [place, name] : places) {
      const std::string what = warning(resolver, name);
      if (!what.empty()) warnings.push_back(place + ": " + what);
    }
    resolver.close();
  }
  spdlog::set_level(level);
  return warnings;
}

}  // namespace limpet
