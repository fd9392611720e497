#include "conf/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "conf/ascii.h"

namespace limpet::conf {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr uint8_t kMappedBits = 96;
constexpr uint8_t kAllBits = 128;

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton wants a terminated string; it is called per request, so the copy stays on the stack.
  char terminated[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof terminated || text.find('\0') != text.npos) return std::nullopt;
  *std::copy(text.begin(), text.end(), terminated) = '\0';

  uint8_t four[4];
  if (inet_pton(AF_INET, terminated, four) == 1) return from_v4(four);
  IpAddress address;
  if (inet_pton(AF_INET6, terminated, address.bytes.data()) == 1) return address;
  return std::nullopt;
}

IpAddress IpAddress::from_v4(const uint8_t (&four)[4]) {
  IpAddress address;
  auto end = std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin());
  std::copy(four, four + 4, end);
  return address;
}

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

bool IpAddress::is_loopback() const {
  return Cidr::parse("127.0.0.0/8")->contains(*this) || *this == parse("::1");
}

IpAddress IpAddress::masked(uint8_t prefix_bits) const {
  IpAddress result;
  const size_t whole = std::min<size_t>(prefix_bits, kAllBits) / 8;
  std::copy_n(bytes.begin(), whole, result.bytes.begin());
  if (whole < bytes.size()) {
    result.bytes[whole] = static_cast<uint8_t>(bytes[whole] & (0xff00 >> (prefix_bits % 8)));
  }
  return result;
}

IpAddress IpAddress::of_one_client() const { return is_v4() ? *this : masked(64); }

std::string IpAddress::text() const {
  char out[INET6_ADDRSTRLEN];
  if (is_v4()) return inet_ntop(AF_INET, bytes.data() + kMappedPrefix.size(), out, sizeof out);
  return inet_ntop(AF_INET6, bytes.data(), out, sizeof out);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == text.npos) return Cidr{*address, kAllBits};

  // "10.0.0.0/8" counts its bits over 32, "::ffff:10.0.0.0/104" over 128, though both name the same block.
  const bool dotted = text.find(':') == text.npos;
  const auto bits = whole_number<uint8_t>(text.substr(slash + 1));
  if (!bits || *bits > (dotted ? kAllBits - kMappedBits : kAllBits)) return std::nullopt;

  const uint8_t prefix = static_cast<uint8_t>(dotted ? kMappedBits + *bits : *bits);
  if (address->masked(prefix) != *address) return std::nullopt;
  return Cidr{*address, prefix};
}

bool contain(const std::vector<Cidr>& blocks, const IpAddress& candidate) {
  return std::any_of(blocks.begin(), blocks.end(),
                     [&](const Cidr& block) { return block.contains(candidate); });
}

}  // namespace limpet::conf
