#include "conf/warnings.h"

#include <doctest/doctest.h>

#include "conf/places.h"
#include "conf/spelling.h"
#include "conf/utf8.h"

namespace limpet::conf::warnings_test {

TEST_CASE("a listener at which anybody may claim to be anybody is warned of, beyond loopback") {
  Settings settings;
  const auto warns = [&](std::string_view address, std::vector<Cidr> from = {}, bool speaks = true) {
    Listener& listener = settings.listeners.emplace_back();
    listener.name = "main";
    listener.address = *parse_listener_address(address).value();
    listener.proxy_protocol = speaks;
    listener.proxy_protocol_from = std::move(from);
    const auto lines = warnings(settings);
    settings.listeners.clear();
    if (!lines.empty()) CHECK(lines.front().starts_with("listener main: whoever can connect may claim"));
    return lines.size() == 1;
  };
  CHECK(warns("*:80"));
  CHECK(warns("192.0.2.1:80"));
  CHECK_FALSE(warns("127.0.0.1:80"));
  CHECK_FALSE(warns("[::1]:80"));
  CHECK_FALSE(warns("*:80", {*Cidr::parse("10.0.0.0/8")}));
  CHECK_FALSE(warns("*:80", {}, false));
}

TEST_CASE("a token that goes through a network as it is is warned of") {
  Settings settings;
  CHECK(warnings(settings).empty());
  settings.status.address = *parse_listener_address("10.0.0.1:9180").value();
  CHECK(warnings(settings) ==
        std::vector<std::string>{
            "status: whoever is on the way to 10.0.0.1:9180 can read the token; [status.tls] encrypts it"});
  settings.status.tls.certificates = {{"s.pem", ""}};
  CHECK(warnings(settings).empty());
  settings.status = {.address = std::nullopt, .token = {}, .token_file = {}, .tls = {}};
  CHECK(warnings(settings).empty());
}

}  // namespace limpet::conf::warnings_test
