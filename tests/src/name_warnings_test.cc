#include "src/name_warnings.h"

#include <doctest/doctest.h>
#include <netinet/in.h>

#include <cstring>

namespace limpet::name_warnings_test {

sockaddr_storage address(int family, uint8_t last) {
  sockaddr_storage out{};
  out.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) reinterpret_cast<sockaddr_in&>(out).sin_addr.s_addr = htonl(0x0a000000u + last);
  if (family == AF_INET6) reinterpret_cast<sockaddr_in6&>(out).sin6_addr.s6_addr[15] = last;
  return out;
}

net::Resolver::Answer answer(const std::string& name) {
  if (name == "nowhere") return {"Name or service not known"};
  if (name == "one") return {"", {address(AF_INET, 1)}};
  if (name == "both") return {"", {address(AF_INET6, 1), address(AF_INET, 1)}};
  return {"", {address(AF_INET, 1), address(AF_INET6, 1), address(AF_INET, 2), address(AF_INET, 3)}};
}

TEST_CASE("names of several servers and names of none are told, in the file's order") {
  conf::Settings settings;
  conf::Pool& pool = settings.pools.emplace_back();
  pool.name = "shop";
  for (const char* name : {"three", "one", "nowhere", "both"}) {
    conf::Backend& backend = pool.backends.emplace_back();
    backend.name = std::string("b-") + name;
    backend.address = {conf::Address::Kind::host, name, 80};
  }
  pool.backends.emplace_back().address = {conf::Address::Kind::ip, "127.0.0.1", 80};
  const auto warnings = name_warnings(settings, answer);
  REQUIRE(warnings.size() == 2);
  CHECK(
      warnings[0].starts_with("pool shop: backend b-three: three has 3 addresses: sessions do not survive"));
  CHECK(warnings[1] == "pool shop: backend b-nowhere: nowhere has no address: Name or service not known");
}

}  // namespace limpet::name_warnings_test
