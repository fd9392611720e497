#include "conf/ip_address.h"

#include <doctest/doctest.h>

#include <random>

namespace limpet::conf::ip_address_test {

std::string canonical(std::string_view text) {
  const auto address = IpAddress::parse(text);
  return address ? address->text() : "none";
}

std::string network(std::string_view text) {
  const auto cidr = Cidr::parse(text);
  return cidr ? cidr->address.text() + " " + std::to_string(cidr->prefix) : "none";
}

bool contains(std::string_view cidr, std::string_view address) {
  return Cidr::parse(cidr)->contains(*IpAddress::parse(address));
}

TEST_CASE("an address prints in its shortest form") {
  CHECK(canonical("192.0.2.1") == "192.0.2.1");
  CHECK(canonical("2001:DB8:0:0:0:0:0:1") == "2001:db8::1");
  CHECK(canonical("::") == "::");
  CHECK(canonical("::1") == "::1");
}

TEST_CASE("an IPv4 address is the same client over an IPv6 socket") {
  CHECK(*IpAddress::parse("192.0.2.1") == *IpAddress::parse("::ffff:192.0.2.1"));
  CHECK(IpAddress::parse("::ffff:192.0.2.1")->is_v4());
  CHECK(canonical("::ffff:c000:201") == "192.0.2.1");
  CHECK_FALSE(IpAddress::parse("2001:db8::1")->is_v4());
  CHECK_FALSE(IpAddress::parse("::192.0.2.1")->is_v4());
}

TEST_CASE("what is not exactly an address is refused") {
  for (const char* text :
       {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4:80", "[::1]", "::1%lo",
        "1::2::3", "12345::", "localhost", "1.2.3.4/8", ":", "::ffff:1.2.3.400"}) {
    CAPTURE(text);
    CHECK(canonical(text) == "none");
  }
  CHECK(canonical(std::string_view("1.2.3.4\0", 8)) == "none");
  CHECK(canonical(std::string(1000, '1')) == "none");
}

TEST_CASE("an address that was printed reads back as itself") {
  std::mt19937 random(20240611);
  for (int i = 0; i < 20'000; ++i) {
    IpAddress address;
    // Runs of zeros are what the short forms are about.
    for (auto& byte : address.bytes) byte = static_cast<uint8_t>(random() % 3 == 0 ? random() : 0);
    if (i % 4 == 0)
      address = IpAddress::from_v4({static_cast<uint8_t>(random()), 0, 2, static_cast<uint8_t>(random())});
    CAPTURE(address.text());
    REQUIRE(IpAddress::parse(address.text()) == address);
  }
}

TEST_CASE("masking clears every bit after the prefix and none before") {
  std::mt19937 random(7);
  for (int i = 0; i < 2'000; ++i) {
    IpAddress address;
    for (auto& byte : address.bytes) byte = static_cast<uint8_t>(random());
    const auto bits = static_cast<uint8_t>(random() % 129);
    const IpAddress masked = address.masked(bits);
    for (int bit = 0; bit < 128; ++bit) {
      const auto of = [&](const IpAddress& a) {
        return a.bytes[static_cast<size_t>(bit / 8)] >> (7 - bit % 8) & 1;
      };
      CAPTURE(bits);
      REQUIRE(of(masked) == (bit < bits ? of(address) : 0));
    }
  }
}

TEST_CASE("a network counts its prefix over 128 bits, however it is written") {
  CHECK(network("10.0.0.0/8") == "10.0.0.0 104");
  CHECK(network("::ffff:10.0.0.0/104") == "10.0.0.0 104");
  CHECK(network("2001:db8::/32") == "2001:db8:: 32");
  CHECK(network("0.0.0.0/0") == "0.0.0.0 96");
  CHECK(network("192.0.2.7") == "192.0.2.7 128");
  CHECK(network("::1") == "::1 128");
}

TEST_CASE("a network with bits set beyond its prefix, or without a proper prefix, is refused") {
  for (const char* text :
       {"10.0.0.1/8", "2001:db8::1/32", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8 ",
        "10.0.0.0/+8", "10.0.0.0/8/8", "/8", "", "10.0.0.0/256", "10.0.0.0/1000"}) {
    CAPTURE(text);
    CHECK(network(text) == "none");
  }
}

TEST_CASE("a network contains its own addresses only") {
  CHECK(contains("10.0.0.0/8", "10.255.0.1"));
  CHECK_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  CHECK(contains("192.0.2.7", "192.0.2.7"));
  CHECK_FALSE(contains("192.0.2.7", "192.0.2.6"));
  CHECK(contains("0.0.0.0/0", "203.0.113.9"));
  CHECK_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  CHECK(contains("2001:db8::/33", "2001:db8:7fff::1"));
  CHECK_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
}

}  // namespace limpet::conf::ip_address_test
