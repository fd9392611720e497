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

TEST_CASE("settings that do nothing without others are warned of") {
  using Lines = std::vector<std::string>;
  const auto of_pool = [](void (*change)(Pool&)) {
    Settings settings;
    Pool& pool = settings.pools.emplace_back();
    pool.name = "shop";
    pool.backends.resize(2);
    change(pool);
    Lines lines = warnings(settings);
    for (std::string& line : lines) {
      REQUIRE(line.starts_with("pool shop: "));
      line.erase(0, std::string("pool shop: ").size());
    }
    return lines;
  };
  CHECK(of_pool([](Pool&) {}) == Lines{});
  CHECK(of_pool([](Pool& pool) { pool.shed = Shed::new_sessions; }) ==
        Lines{"`shed` refuses nobody without `shed_in_flight` or `shed_queue_time`"});
  CHECK(of_pool([](Pool& pool) { pool.shed_in_flight = 1; }) ==
        Lines{"`shed_in_flight` and `shed_queue_time` do nothing while `shed` is \"off\""});
  CHECK(of_pool([](Pool& pool) {
          pool.shed = Shed::new_sessions;
          pool.shed_in_flight = 1;
        }) == Lines{});
  const auto by_queue = [](Pool& pool) {
    pool.shed = Shed::new_sessions;
    pool.shed_queue_time = pool.queue_timeout = 1s;
  };
  CHECK(of_pool(by_queue) == Lines{"`shed_queue_time` does nothing where no backend has `max_connections`",
                                   "`queue_timeout` does nothing where no backend has `max_connections`"});
  CHECK(of_pool([](Pool& pool) {
          pool.shed = Shed::new_sessions;
          pool.shed_queue_time = pool.queue_timeout = 1s;
          pool.backends[1].max_connections = 1;
        }) == Lines{});
  const Lines rate = {"`burst` and `by` of [pool.rate] do nothing without `requests`"};
  CHECK(of_pool([](Pool& pool) { pool.rate.burst = 1; }) == rate);
  CHECK(of_pool([](Pool& pool) { pool.rate.by = RateBy::session; }) == rate);
  CHECK(of_pool([](Pool& pool) { pool.rate = {1, 2, RateBy::session}; }) == Lines{});
}

TEST_CASE("a limit of each client's connections above that of all is warned of") {
  Settings settings;
  Listener& listener = settings.listeners.emplace_back();
  listener.name = "main";
  listener.limits = {.connections = 10, .connections_per_client = 11};
  CHECK(warnings(settings) ==
        std::vector<std::string>{"listener main: `connections_per_client` does nothing above `connections`"});
  listener.limits.connections = 11;
  CHECK(warnings(settings).empty());
  listener.limits.connections = 0;
  CHECK(warnings(settings).empty());
}

}  // namespace limpet::conf::warnings_test
