// Names, references, and which pool requests reach.
#include "tests/conf/loading.h"

namespace limpet::conf::names_test {

const std::string kListener = "[[listener]]\naddress = \"127.0.0.1:80\"\n";

std::string listener(const std::string& name, int port) {
  return "[[listener]]\nname = \"" + name + "\"\naddress = \"127.0.0.1:" + std::to_string(port) + "\"\n";
}
std::string route(const std::string& lines, const std::string& pool) {
  return "[[route]]\n" + lines + "\npool = \"" + pool + "\"\n";
}
std::string pool(const std::string& name, const std::string& lines = "") {
  return "[[pool]]\nname = \"" + name + "\"\n" + lines +
         "\n[[pool.backend]]\nname = \"a\"\naddress = \"h:1\"\n";
}

TEST_CASE("a single pool without routes serves everything") {
  Route everything;
  everything.pool = "app";
  CHECK(loaded(kListener + pool("app")).routes == std::vector{everything});
  CHECK(everything.path == "/");
  CHECK(everything.listener == "");
}

TEST_CASE("a route that is given is the only one") {
  const auto routes = loaded(kListener + route("path = \"/app\"", "app") + pool("app")).routes;
  REQUIRE(routes.size() == 1);
  CHECK(routes[0].path == "/app");
}

TEST_CASE("several pools need routes") {
  CHECK(faults(kListener + pool("a") + pool("b")) ==
        "f: route: is missing, accepted: at least one [[route]] for each of several pools");
}

TEST_CASE("a pool that no route reaches is a fault") {
  CHECK(faults(kListener + route("", "a") + pool("a") + pool("b")) ==
        "f:12:1: pool[1]: no route reaches this pool, accepted: a [[route]] with pool = \"b\"");
}

TEST_CASE("a route to an unknown pool is told the nearest, or all") {
  CHECK(faults(kListener + route("", "shpo") + pool("shop")) ==
        "f:5:8: route[0].pool: no pool is called \"shpo\", did you mean \"shop\"?");
  CHECK(faults(kListener + route("", "x") + route("path = \"/a\"", "blog") + pool("shop") + pool("blog")) ==
        "f:5:8: route[0].pool: no pool is called \"x\", accepted: \"shop\", \"blog\"");
  CHECK(faults(kListener + route("", "") + pool("shop")) ==
        "f:5:8: route[0].pool: no pool is called \"\", accepted: \"shop\"");
}

TEST_CASE("of very many routes to unknown pools the first are told what is near") {
  std::string text = kListener;
  for (int i = 0; i < 30; ++i)
    text += route("path = \"/" + std::to_string(i) + "\"", i % 2 == 0 ? "shpo" : "x");
  const std::string told = faults(text + pool("shop"));
  const auto count = [&](const std::string& of) {
    size_t found = 0;
    for (size_t at = told.find(of); at != told.npos; at = told.find(of, at + 1)) ++found;
    return found;
  };
  CHECK(count("no pool is called") == 30);
  CHECK(count("did you mean \"shop\"?") == 10);
  CHECK(count("accepted: \"shop\"") == 10);
  CHECK(count("accepted: a name that is in the file") == 10);
}

TEST_CASE("a route without a pool says so") {
  CHECK(faults(kListener + "[[route]]\npath = \"/\"\n" + pool("shop")) ==
        "f:3:1: route[0].pool: is missing, accepted: a pool's name");
}

TEST_CASE("a pool whose name is faulty makes no other faults") {
  CHECK(faults(kListener + route("", "my shop") + pool("my shop")) ==
        "f:7:8: pool[0].name: \"my shop\" is not a name, accepted: 1 to 64 letters, digits, \".\", \"_\" and "
        "\"-\"");
}

TEST_CASE("a route to an unknown listener is told the nearest") {
  CHECK(faults(listener("main", 80) + route("listener = \"mian\"", "app") + pool("app")) ==
        "f:5:12: route[0].listener: no listener is called \"mian\", did you mean \"main\"?");
  CHECK(faults(kListener + route("listener = \"main\"", "app") + pool("app")) ==
        "f:4:12: route[0].listener: no listener is called \"main\", accepted: \"127.0.0.1:80\"");
}

TEST_CASE("the only listener is called by its address unless it has a name") {
  CHECK(loaded(kListener + pool("app")).listeners[0].name == "127.0.0.1:80");
  CHECK(loaded(listener("main", 80) + pool("app")).listeners[0].name == "main");
  CHECK(loaded(kListener + route("listener = \"127.0.0.1:80\"", "app") + pool("app")).routes[0].listener ==
        "127.0.0.1:80");
}

TEST_CASE("each of several listeners needs a name") {
  CHECK(faults(listener("main", 80) + "[[listener]]\naddress = \"127.0.0.1:81\"\n" + pool("app")) ==
        "f:4:1: listener[1].name: is missing, accepted: a name for each of several listeners");
}

TEST_CASE("a name belongs to one listener, one pool, one backend of a pool") {
  CHECK(faults(listener("main", 80) + listener("main", 81) + pool("app")) ==
        "f:5:8: listener[1].name: is the same as listener[0].name in line 2, accepted: each name once");
  CHECK(faults(kListener + route("", "app") + pool("app") + pool("app")) ==
        "f:13:8: pool[1].name: is the same as pool[0].name in line 7, accepted: each name once");
  CHECK(faults(kBase + "[[pool.backend]]\nname = \"a\"\naddress = \"h:1\"") ==
        "f:10:8: pool[0].backend[1].name: is the same as pool[0].backend[0].name in line 7, accepted: each "
        "name once in a "
        "pool");
  CHECK(faults(kListener + route("", "a") + route("path=\"/b\"", "b") + pool("a") + pool("b")) ==
        "");  // backend "a" in both
}

TEST_CASE("two listeners do not share an address, however it is written") {
  CHECK(faults("[[listener]]\nname = \"x\"\naddress = \"[::1]:80\"\n[[listener]]\nname = \"y\"\naddress = "
               "\"[0:0::1]:80\"\n" +
               pool("app")) ==
        "f:6:11: listener[1].address: is the same as listener[0].address in line 3, accepted: each address "
        "once");
  CHECK(faults(listener("x", 80) + listener("y", 81) + pool("app")) == "");
  CHECK(faults(listener("x", 0) + listener("y", 0) + pool("app")) == "");
}

TEST_CASE("a name is short and plain") {
  const std::string accepted = ", accepted: 1 to 64 letters, digits, \".\", \"_\" and \"-\"";
  const std::string longest(64, 'n');
  CHECK(loaded(kListener + pool(longest)).pools[0].name == longest);
  CHECK(faults(kListener + pool(longest + "n")) ==
        "f:4:8: pool[0].name: \"" + std::string(40, 'n') + "...\" is too long" + accepted);
  CHECK(faults(kListener + pool("")) == "f:4:8: pool[0].name: \"\" is empty" + accepted);
  for (const std::string name : {"a b", "a/b", "ä", "a:b", "a;b", "a\\\"b"}) {
    CAPTURE(name);
    CHECK(faults(kListener + pool(name)).find(" is not a name" + accepted) != std::string::npos);
    CHECK(faults(listener(name, 80) + pool("app")).find(" is not a name" + accepted) != std::string::npos);
  }
  CHECK(loaded(kListener + pool("Shop_1.x-y")).pools[0].name == "Shop_1.x-y");
}

TEST_CASE("a route's host is a name in lower case, without a port") {
  const auto host = [](const std::string& text) {
    return loaded(kListener + route("host = \"" + text + "\"", "app") + pool("app")).routes[0].host;
  };
  CHECK(host("Shop.Example.COM") == "shop.example.com");
  CHECK(host("*.Example.com") == "*.example.com");
  CHECK(host("localhost") == "localhost");
  CHECK(host("127.0.0.1") == "127.0.0.1");
  CHECK(host("[2001:DB8::1]") == "[2001:db8::1]");
  CHECK(host("") == "");
}

TEST_CASE("a route's host that is none says what is wrong") {
  const auto wrong = [](const std::string& text) {
    const std::string told = faults(kListener + route("host = \"" + text + "\"", "app") + pool("app"));
    const std::string begin = "f:4:8: route[0].host: \"" + text + "\" ";
    const std::string end =
        ", accepted: a host name, \"shop.example.com\", or every name below one, \"*.example.com\"";
    CAPTURE(told);
    REQUIRE(told.starts_with(begin));
    REQUIRE(told.ends_with(end));
    return told.substr(begin.size(), told.size() - begin.size() - end.size());
  };
  CHECK(wrong("example.com:80") == "has a port; the host is matched without it");
  CHECK(wrong("[::1]:80") == "has a port; the host is matched without it");
  CHECK(wrong("::1") == "has no brackets around its IPv6 address");
  CHECK(wrong("[example]") == "has no IPv6 address in its brackets");
  CHECK(wrong("[127.0.0.1]") == "has no IPv6 address in its brackets");
  CHECK(wrong("example.com/app") == "has a path; that is the key `path`");
  CHECK(wrong("*") == "is not needed to match every host; leave `host` out");
  CHECK(wrong("a.*.com") == "has \"*\" elsewhere than as its whole first label");
  CHECK(wrong("*example.com") == "has \"*\" elsewhere than as its whole first label");
  CHECK(wrong("example.com.") == "ends in a dot");
  CHECK(wrong("exa mple") == "is not a host name");
  CHECK(wrong("*.") == "is not a host name");
  CHECK(wrong("bücher.example") == "is not a host name");
  CHECK(wrong("1.2.3") == "is not a host name");
  CHECK(wrong("a..b") == "is not a host name");
}

TEST_CASE("a host name is as long as DNS allows") {
  const auto told = [](const std::string& name) {
    return faults(kListener + route("host = \"" + name + "\"", "app") + pool("app"));
  };
  const std::string label(63, 'a');
  CHECK(told(label + ".b") == "");
  CHECK(told("a" + label + ".b") != "");
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  REQUIRE(longest.size() == 253);
  CHECK(told(longest) == "");
  CHECK(told(longest + "b") != "");
}

TEST_CASE("a route's path begins with a slash and ends without one") {
  const auto path = [](const std::string& text) {
    return loaded(kListener + route("path = \"" + text + "\"", "app") + pool("app")).routes[0].path;
  };
  CHECK(path("/") == "/");
  CHECK(path("/app") == "/app");
  CHECK(path("/app/") == "/app");
  CHECK(path("/app//") == "/app");
  CHECK(path("//") == "/");
  CHECK(path("/%61pp") == "/app");
  CHECK(path("/x/../app/.") == "/app");
  CHECK(path("/a/b;v=1/%20") == "/a/b;v=1/%20");
  const std::string accepted = ", accepted: a path that begins with \"/\"";
  CHECK(faults(kListener + route("path = \"app\"", "app") + pool("app")) ==
        "f:4:8: route[0].path: \"app\" does not begin with \"/\"" + accepted);
  CHECK(faults(kListener + route("path = \"\"", "app") + pool("app")) ==
        "f:4:8: route[0].path: \"\" does not begin with \"/\"" + accepted);
  CHECK(faults(kListener + route("path = \"/a?b\"", "app") + pool("app")) ==
        "f:4:8: route[0].path: \"/a?b\" holds what a path cannot" + accepted);
  CHECK(faults(kListener + route("path = \"/a b\"", "app") + pool("app")) ==
        "f:4:8: route[0].path: \"/a b\" holds what a path cannot" + accepted);
}

TEST_CASE("no two routes match the same requests") {
  const std::string one =
      "matches the same requests as route[0] in line 7, accepted: one route for each host and path of a "
      "listener";
  const std::string both = listener("x", 80) + listener("y", 81);
  const auto told = [&](const std::string& first, const std::string& second) {
    return faults(both + route(first, "a") + route(second, "b") + pool("a") + pool("b"));
  };
  CHECK(told("", "") == "f:10:1: route[1]: " + one);
  CHECK(told("host=\"a.example\"", "host=\"A.example\"") == "f:10:1: route[1]: " + one);
  CHECK(told("path=\"/app\"", "path=\"/app/\"") == "f:10:1: route[1]: " + one);
  CHECK(told("path=\"/app\"", "path=\"/%61pp\"") == "f:10:1: route[1]: " + one);
  CHECK(told("listener=\"x\"", "") == "f:10:1: route[1]: " + one);
  CHECK(told("", "listener=\"y\"") == "f:10:1: route[1]: " + one);
  CHECK(told("listener=\"x\"", "listener=\"y\"") == "");
  CHECK(told("host=\"a.example\"", "host=\"*.example\"") == "");
  CHECK(told("path=\"/\"", "path=\"/a\"") == "");
}

TEST_CASE("routes whose hosts are faulty are not called equal") {
  const std::string told =
      faults(kListener + route("host = \"a b\"", "a") + route("host = \"c d\"", "a") + pool("a"));
  CHECK(told.starts_with("f:4:8: route[0].host: "));
  CHECK(told.find("\nf:7:8: route[1].host: ") != std::string::npos);
  CHECK(told.find("same requests") == std::string::npos);
  const std::string one = faults(kListener + route("host = \"a b\"", "a") + route("", "a") + pool("a"));
  CHECK(one.find("same requests") == std::string::npos);
  const std::string other = faults(kListener + route("", "a") + route("host = \"a b\"", "a") + pool("a"));
  CHECK(other.find("same requests") == std::string::npos);
}

TEST_CASE("of many equal routes each is told the first") {
  const std::string told = faults(kListener + route("", "a") + route("", "a") + route("", "a") + pool("a"));
  CHECK(told ==
        "f:6:1: route[1]: matches the same requests as route[0] in line 3, accepted: one route for each host "
        "and path of a "
        "listener\n"
        "f:9:1: route[2]: matches the same requests as route[0] in line 3, accepted: one route for each host "
        "and path of a "
        "listener");
}

}  // namespace limpet::conf::names_test
