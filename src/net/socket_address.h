// Between the kernel's socket addresses and ours.
#pragma once

#include <netinet/in.h>

#include <string>

#include "conf/ip_address.h"

namespace limpet::net {

// `host` is an IP literal; false when it is not.
bool to_sockaddr(const std::string& host, uint16_t port, sockaddr_storage& out);

uint16_t port_in(const sockaddr_storage& address);  // 0 of what is not IP

conf::IpAddress from_sockaddr(const sockaddr_storage& address);  // all zero for what is not IP

}  // namespace limpet::net
