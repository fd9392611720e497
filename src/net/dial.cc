#include "src/net/dial.h"

#include "src/net/resolver.h"
#include "src/net/socket_address.h"
#include "src/net/uv_stream.h"

namespace limpet::net {

size_t count_addresses(const Resolver& resolver, const conf::Address& address) {
  return address.kind == conf::Address::Kind::host ? resolver.count(address.host) : 1;
}

StreamPtr dial(Loop& loop, const Resolver& resolver, const conf::Address& address, unsigned attempt,
               int below, StreamOwner* owner, int& error) {
  error = 0;
  if (address.kind == conf::Address::Kind::unix_socket) {
    return StreamPtr(attempt == 0 ? UvStream::connect_unix(loop, address.host, below, owner, error)
                                  : nullptr);
  }
  sockaddr_storage where{};
  if (address.kind == conf::Address::Kind::host) {
    if (!resolver.find(address.host, attempt, address.port, where)) return nullptr;
  } else if (attempt != 0 || !to_sockaddr(address.host, address.port, where)) {
    return nullptr;
  }
  return StreamPtr(UvStream::connect(loop, reinterpret_cast<const sockaddr*>(&where), below, owner, error));
}

}  // namespace limpet::net
