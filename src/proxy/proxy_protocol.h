// The PROXY protocol's header, versions 1 and 2 (haproxy.org, "The PROXY protocol", 2020): who the client of
// a connection is, told by the load balancer in front, before the connection's first byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
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

// Who a header tells of, and where they came to. Ports that nobody knows are 0.
struct ProxiedEnds {
  conf::IpAddress source, destination;
  uint16_t source_port = 0, destination_port = 0;
};
// `version` is 1 or 2. Ends that are not both IPv4 are both told as IPv6.
std::string proxy_header(unsigned version, const ProxiedEnds& ends);
std::string own_proxy_header(unsigned version);  // of a connection that is made for nobody: UNKNOWN, LOCAL

ProxyHeader parse_proxy_header(std::string_view bytes);
// Whether these are the first bytes of a header, and could be nothing else.
bool begins_proxy_header(std::string_view bytes);

}  // namespace limpet::proxy
