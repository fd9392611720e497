#include "src/net/socket_address.h"

#include <arpa/inet.h>

#include <cstring>

namespace limpet::net {

bool to_sockaddr(const std::string& host, uint16_t port, sockaddr_storage& out) {
  out = {};
  auto& v4 = reinterpret_cast<sockaddr_in&>(out);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return true;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return false;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  return true;
}

uint16_t port_in(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  return address.ss_family == AF_INET6 ? ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port) : 0;
}

conf::IpAddress from_sockaddr(const sockaddr_storage& address) {
  conf::IpAddress out{};
  if (address.ss_family == AF_INET) {
    uint8_t four[4];
    std::memcpy(four, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, sizeof four);
    return conf::IpAddress::from_v4(four);
  }
  if (address.ss_family == AF_INET6) {
    std::memcpy(out.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr,
                out.bytes.size());
  }
  return out;
}

}  // namespace limpet::net
