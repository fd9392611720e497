#include "src/proxy/proxy_protocol.h"

#include <cstring>

#include "conf/ascii.h"

namespace limpet::proxy {

namespace {

using Status = ProxyHeader::Status;

constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kSignature1 = "PROXY ";
constexpr size_t kMostVersion1 = 107;  // with its CRLF
constexpr size_t kFixedVersion2 = 16;

std::string_view take_word(std::string_view& line) {
  const size_t end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line = end == std::string_view::npos ? std::string_view{} : line.substr(end + 1);
  return word;
}

bool is_port(std::string_view text) { return whole_number<uint16_t>(text).has_value(); }

ProxyHeader parse_version_1(std::string_view bytes) {
  const size_t end = bytes.substr(0, kMostVersion1).find("\r\n");
  if (end == std::string_view::npos)
    return {bytes.size() >= kMostVersion1 ? Status::wrong : Status::partial, 0, {}};
  std::string_view line = bytes.substr(kSignature1.size(), end - kSignature1.size());
  const std::string_view family = take_word(line);
  if (family == "UNKNOWN") return {Status::complete, end + 2, {}};
  if (family != "TCP4" && family != "TCP6") return {Status::wrong, 0, {}};
  const auto source = conf::IpAddress::parse(take_word(line));
  const auto destination = conf::IpAddress::parse(take_word(line));
  // A listener of both families, as HAProxy and nginx have them, tells of IPv4 in IPv6, and of one of each.
  const bool is_mixed = family == "TCP6";
  const bool addresses = source && destination && (is_mixed || (source->is_v4() && destination->is_v4()));
  const bool ports = is_port(take_word(line)) && is_port(line);
  if (!addresses || !ports) return {Status::wrong, 0, {}};
  return {Status::complete, end + 2, source};
}

// Type, length and value, one after the other up to the end.
bool are_whole_tlvs(std::string_view bytes) {
  while (!bytes.empty()) {
    if (bytes.size() < 3) return false;
    const size_t length =
        static_cast<size_t>(static_cast<uint8_t>(bytes[1])) << 8 | static_cast<uint8_t>(bytes[2]);
    if (bytes.size() - 3 < length) return false;
    bytes.remove_prefix(3 + length);
  }
  return true;
}

ProxyHeader parse_version_2(std::string_view bytes) {
  if (bytes.size() < kFixedVersion2) return {};
  const auto octet = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
  const size_t length = static_cast<size_t>(octet(14)) << 8 | octet(15);
  const uint8_t command = octet(12);
  if (command != 0x20 && command != 0x21) return {Status::wrong, 0, {}};
  const size_t size = kFixedVersion2 + length;
  const uint8_t family = octet(13) >> 4;
  const size_t addresses = family == 1 ? 12 : family == 2 ? 36 : 0;
  if (command == 0x21 && length < addresses) return {Status::wrong, 0, {}};
  if (bytes.size() < size) return {};
  const size_t fixed = kFixedVersion2 + addresses;
  if (command == 0x21 && addresses != 0 && !are_whole_tlvs(bytes.substr(fixed, size - fixed)))
    return {Status::wrong, 0, {}};
  ProxyHeader header{Status::complete, size, {}};
  if (command == 0x20 || addresses == 0) return header;
  conf::IpAddress source;
  if (family == 1) {
    uint8_t four[4];
    std::memcpy(four, bytes.data() + kFixedVersion2, sizeof four);
    source = conf::IpAddress::from_v4(four);
  } else {
    std::memcpy(source.bytes.data(), bytes.data() + kFixedVersion2, source.bytes.size());
  }
  header.source = source;
  return header;
}

void put_number(size_t number, std::string& out) {  // of 16 bits, in the network's order
  out += static_cast<char>(number >> 8);
  out += static_cast<char>(number & 0xff);
}

void put_address(const conf::IpAddress& address, size_t size, std::string& out) {
  const auto* const last = reinterpret_cast<const char*>(address.bytes.data()) + address.bytes.size();
  out.append(last - size, size);  // an IPv4 address stands at the end of its IPv6 form
}

std::string in_full(const conf::IpAddress& address, bool as_v4) {
  const std::string text = address.text();
  return as_v4 || !address.is_v4() ? text : "::ffff:" + text;
}

}  // namespace

std::string proxy_header(unsigned version, const ProxiedEnds& ends) {
  const bool as_v4 = ends.source.is_v4() && ends.destination.is_v4();
  if (version == 1) {
    return (as_v4 ? "PROXY TCP4 " : "PROXY TCP6 ") + in_full(ends.source, as_v4) + " " +
           in_full(ends.destination, as_v4) + " " + std::to_string(ends.source_port) + " " +
           std::to_string(ends.destination_port) + "\r\n";
  }
  const size_t size = as_v4 ? 4 : 16;
  std::string out(kSignature2);
  out += '\x21';
  out += as_v4 ? '\x11' : '\x21';
  put_number(2 * size + 4, out);
  put_address(ends.source, size, out);
  put_address(ends.destination, size, out);
  put_number(ends.source_port, out);
  put_number(ends.destination_port, out);
  return out;
}

std::string own_proxy_header(unsigned version) {
  if (version == 1) return "PROXY UNKNOWN\r\n";
  return std::string(kSignature2) + std::string("\x20\0\0\0", 4);
}

ProxyHeader parse_proxy_header(std::string_view bytes) {
  const auto begins = [&](std::string_view signature) {
    const size_t common = bytes.size() < signature.size() ? bytes.size() : signature.size();
    return bytes.substr(0, common) == signature.substr(0, common);
  };
  if (begins(kSignature2)) return bytes.size() < kSignature2.size() ? ProxyHeader{} : parse_version_2(bytes);
  if (begins(kSignature1)) return bytes.size() < kSignature1.size() ? ProxyHeader{} : parse_version_1(bytes);
  return {Status::wrong, 0, {}};
}

bool begins_proxy_header(std::string_view bytes) {
  return bytes.starts_with(kSignature2) || bytes.starts_with("PROXY TCP") ||
         bytes.starts_with("PROXY UNKNOWN");
}

}  // namespace limpet::proxy
