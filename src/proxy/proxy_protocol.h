// The PROXY protocol's header, versions 1 and 2 (haproxy.org, "The PROXY protocol", 2020): who the client of
// a connection is, told by the load balancer in front, before the connection's first byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "conf/ip_address.h"

namespace limpet::proxy {

struct ProxyHeader {
  enum class Status : uint8_t { complete, partial, wrong };
  Status status = Status::partial;
  size_t size = 0;  // of the header, when complete
  // None: the connection is the proxy's own (LOCAL, UNKNOWN), or not over IP.
  std::optional<conf::IpAddress> source;
};

ProxyHeader parse_proxy_header(std::string_view bytes);
// Whether these are the first bytes of a header, and could be nothing else.
bool begins_proxy_header(std::string_view bytes);

}  // namespace limpet::proxy
