#include "routing/routes.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/work.h"

namespace limpet::routing::routes_test {

conf::Settings settings_of(std::vector<conf::Route> routes) {
  conf::Settings settings;
  settings.listeners = {{.name = "public", .address = {}, .trusted_proxies = {}},
                        {.name = "inner", .address = {}, .trusted_proxies = {}}};
  for (const conf::Route& route : routes) {
    conf::Pool pool;
    pool.name = route.pool;
    settings.pools.push_back(pool);
  }
  settings.routes = std::move(routes);
  return settings;
}

// Finds pools by their names; each route of a test, {listener, host, path, pool}, has a pool of its own.
struct Finder {
  explicit Finder(std::vector<conf::Route> list)
      : settings(settings_of(std::move(list))), routes(Routes::from(settings)) {}

  std::string pool(std::string_view host, std::string_view target, size_t listener = 0) const {
    const size_t found = routes.find(listener, host, target);
    return found == kNoPool ? "none" : settings.pools[found].name;
  }

  conf::Settings settings;
  Routes routes;
};

TEST_CASE("an exact host goes before the longest wildcard, that before a shorter one, and that before any") {
  const Finder finder({{"", "", "/", "any"},
                       {"", "*.example.com", "/", "wild"},
                       {"", "*.a.example.com", "/", "wilder"},
                       {"", "x.a.example.com", "/", "exact"}});
  CHECK(finder.pool("x.a.example.com", "/") == "exact");
  CHECK(finder.pool("y.a.example.com", "/") == "wilder");
  CHECK(finder.pool("deep.down.a.example.com", "/") == "wilder");
  CHECK(finder.pool("y.example.com", "/") == "wild");
  CHECK(finder.pool("example.com", "/") == "any");
  CHECK(finder.pool("xexample.com", "/") == "any");
  CHECK(finder.pool(".example.com", "/") == "any");
  CHECK(finder.pool("", "/") == "any");
}

TEST_CASE("a host is compared without case, port and trailing dot") {
  const Finder finder({{"", "shop.example", "/", "shop"}, {"", "*.wild.example", "/", "wild"}});
  for (const char* host :
       {"shop.example", "SHOP.Example", "shop.example:8080", "shop.example.", "Shop.example.:80"}) {
    CAPTURE(host);
    CHECK(finder.pool(host, "/") == "shop");
  }
  CHECK(finder.pool("A.WILD.example.:80", "/") == "wild");
  CHECK(finder.pool("shop.example.org", "/") == "none");
  CHECK(finder.pool("shop.exampl", "/") == "none");
}

TEST_CASE("an IPv6 literal is a host, with or without a port") {
  const Finder finder({{"", "[2001:db8::1]", "/", "six"}, {"", "[::1]", "/", "loopback"}});
  CHECK(finder.pool("[2001:db8::1]", "/") == "six");
  CHECK(finder.pool("[2001:DB8::1]:8080", "/") == "six");
  CHECK(finder.pool("[::1]:80", "/") == "loopback");
  CHECK(finder.pool("[::1", "/") == "none");
}

TEST_CASE("the longest prefix of whole segments wins") {
  const Finder finder({{"", "", "/", "root"}, {"", "", "/app/admin", "admin"}, {"", "", "/app", "app"}});
  for (const char* target : {"/app", "/app/", "/app/x", "/app?x", "/app;jsessionid=1", "/app/administer"}) {
    CAPTURE(target);
    CHECK(finder.pool("h", target) == "app");
  }
  for (const char* target : {"/app/admin", "/app/admin/x", "/app/admin?x", "/app/admin;x"}) {
    CAPTURE(target);
    CHECK(finder.pool("h", target) == "admin");
  }
  for (const char* target : {"/", "/apple", "/ap", "/App", "/app/../x", "/app%2fx", "/%2561pp"}) {
    CAPTURE(target);
    CHECK(finder.pool("h", target) == "root");
  }
}

TEST_CASE("a target that is no path is taken for the root") {
  const Finder finder({{"", "", "/app", "app"}, {"", "", "/", "root"}});
  CHECK(finder.pool("h", "*") == "root");
  CHECK(finder.pool("h", "") == "root");
}

TEST_CASE("where the best host has no prefix that fits, the next host is asked") {
  const Finder finder(
      {{"", "shop.example", "/cart", "cart"}, {"", "*.example", "/img", "images"}, {"", "", "/", "rest"}});
  CHECK(finder.pool("shop.example", "/cart/1") == "cart");
  CHECK(finder.pool("shop.example", "/img/1") == "images");
  CHECK(finder.pool("shop.example", "/other") == "rest");
}

TEST_CASE("the host decides before the path does") {
  const Finder finder({{"", "shop.example", "/", "shop"}, {"", "", "/long/path", "path"}});
  CHECK(finder.pool("shop.example", "/long/path") == "shop");
}

TEST_CASE("a route of one listener serves that listener alone") {
  const Finder finder({{"", "", "/", "everywhere"}, {"inner", "", "/admin", "admin"}});
  CHECK(finder.pool("h", "/", 0) == "everywhere");
  CHECK(finder.pool("h", "/admin", 0) == "everywhere");
  CHECK(finder.pool("h", "/", 1) == "everywhere");
  CHECK(finder.pool("h", "/admin", 1) == "admin");
}

TEST_CASE("many exact hosts are all found") {
  std::vector<conf::Route> list;
  for (int i = 0; i < 200; ++i) {
    list.push_back({"", "h" + std::to_string(i) + ".example", "/", std::to_string(i)});
  }
  const Finder finder(list);
  for (int i = 0; i < 200; ++i)
    CHECK(finder.pool("H" + std::to_string(i) + ".example", "/") == std::to_string(i));
  CHECK(finder.pool("h200.example", "/") == "none");
}

TEST_CASE("eight times as many listeners, routes and pools take about eight times the work") {
  const auto settings = [](size_t rows) {
    conf::Settings made;
    for (size_t i = 0; i < rows; ++i) {
      const std::string name = std::to_string(i);
      made.listeners.emplace_back().name = name;
      made.pools.emplace_back().name = name;
      made.routes.push_back({name, "h" + name + ".example", "/", name});
      made.routes.push_back({"0", "h" + name + ".example", "/" + name, name});
    }
    return made;
  };
  const conf::Settings few = settings(kFewRows), many = settings(kManyRows);
  CHECK(work_of([&] { Routes::from(many); }) < kMostGrowth * work_of([&] { Routes::from(few); }));
}

}  // namespace limpet::routing::routes_test
