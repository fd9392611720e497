// Hosts as requests and settings name them.
#pragma once

#include <string_view>

#include "conf/ascii.h"

namespace limpet::routing {

// Without the port, the brackets of an IPv6 address, and the root's dot.
inline std::string_view bare_host(std::string_view host) {
  if (!host.empty() && host.front() == '[') {
    const size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  const size_t colon = host.find(':');
  if (colon != std::string_view::npos && host.find(':', colon + 1) == std::string_view::npos)
    host = host.substr(0, colon);
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  return host;
}

// With something before it.
inline bool ends_with_ignoring_case(std::string_view host, std::string_view suffix) {
  return host.size() > suffix.size() &&
         equals_ignoring_case(host.substr(host.size() - suffix.size()), suffix);
}

}  // namespace limpet::routing
