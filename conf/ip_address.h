// An IP address and a block of them, as values. IPv4 is kept IPv4-mapped (::ffff:a.b.c.d, RFC 4291,
// section 2.5.5.2), so that a client that reached an IPv6 socket over IPv4 is the same client.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::conf {

struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  // Accepts dotted IPv4 and every RFC 4291 form of IPv6, without brackets, zone or port.
  static std::optional<IpAddress> parse(std::string_view text);
  static IpAddress from_v4(const uint8_t (&four)[4]);

  bool is_v4() const;
  bool is_loopback() const;                     // 127.0.0.0/8 or ::1
  IpAddress masked(uint8_t prefix_bits) const;  // prefix over the 128 bits: an IPv4 /24 is 120
  IpAddress of_one_client() const;  // as limits count them: of IPv6 the /64, for a host may have all of one
  std::string text() const;         // "192.0.2.1", "2001:db8::1"

  bool operator==(const IpAddress&) const = default;
};

struct Cidr {
  IpAddress address;   // host bits are zero
  uint8_t prefix = 0;  // over the 128 bits

  // Accepts "10.0.0.0/8", "2001:db8::/32" and a single address. Host bits that are set are an error: nullopt.
  static std::optional<Cidr> parse(std::string_view text);
  bool contains(const IpAddress& candidate) const { return candidate.masked(prefix) == address; }

  bool operator==(const Cidr&) const = default;
};

bool contain(const std::vector<Cidr>& blocks, const IpAddress& candidate);  // one of them does

}  // namespace limpet::conf
