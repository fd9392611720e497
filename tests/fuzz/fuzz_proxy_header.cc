// Any bytes as a PROXY protocol header: what is told of them does not depend on how many have come, and
// nothing beyond the header counts. What is written is read back.
#include <algorithm>
#include <string>

#include "src/proxy/proxy_protocol.h"

using limpet::proxy::parse_proxy_header;
using limpet::proxy::ProxyHeader;

namespace {

const std::string kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);

void hold(std::string_view bytes) {
  const ProxyHeader whole = parse_proxy_header(bytes);
  ProxyHeader first;
  size_t at = 0;
  while (at < bytes.size() && first.status == ProxyHeader::Status::partial)
    first = parse_proxy_header(bytes.substr(0, ++at));
  if (first.status != whole.status || first.size != whole.size || first.source != whole.source)
    __builtin_trap();
  if (whole.size > bytes.size()) __builtin_trap();
  if (whole.status == ProxyHeader::Status::complete && at != whole.size) __builtin_trap();
}

// 16 bytes of each end's address, and its port.
void hold_written(std::string_view bytes) {
  limpet::proxy::ProxiedEnds ends;
  const auto take = [&bytes](limpet::conf::IpAddress& address, uint16_t& port) {
    const size_t size = std::min(bytes.size(), address.bytes.size());
    std::copy_n(bytes.begin(), size, address.bytes.begin());
    port = static_cast<uint16_t>(bytes.size() * 251);
    bytes.remove_prefix(size);
  };
  take(ends.source, ends.source_port);
  take(ends.destination, ends.destination_port);
  for (const unsigned version : {1u, 2u}) {
    const std::string written = limpet::proxy::proxy_header(version, ends);
    const ProxyHeader header = parse_proxy_header(written + "GET");
    if (header.status != ProxyHeader::Status::complete || header.size != written.size()) __builtin_trap();
    if (header.source != ends.source) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  hold(bytes);
  hold("PROXY " + bytes);
  hold(kSignature2 + bytes);
  hold_written(bytes);
  return 0;
}
