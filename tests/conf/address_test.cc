// Addresses, as operators write them and as they come out.
#include "conf/settings.h"
#include "tests/conf/loading.h"

namespace limpet::conf::address_test {

std::string listener(const std::string& address) {
  return "[[listener]]\naddress = \"" + address + "\"\n" + kBase.substr(kBase.find("[[pool]]"));
}
std::string backend(const std::string& address) {
  return "[[listener]]\naddress = \"127.0.0.1:80\"\n[[pool]]\nname = \"app\"\n[[pool.backend]]\nname = "
         "\"a\"\naddress = \"" +
         address + "\"\n";
}

// The fault of an address, without what all have in common.
std::string wrong_listener(const std::string& address) {
  const std::string text = faults(listener(address)),
                    begin = "f:2:11: listener[0].address: \"" + address + "\" ";
  const std::string end =
      ", accepted: an IP address and a port, \"127.0.0.1:80\", \"[::1]:80\", or \"*:80\" for all addresses";
  CAPTURE(text);
  REQUIRE(text.starts_with(begin));
  REQUIRE(text.ends_with(end));
  return text.substr(begin.size(), text.size() - begin.size() - end.size());
}
std::string wrong_backend(const std::string& address) {
  const std::string text = faults(backend(address)),
                    begin = "f:7:11: pool[0].backend[0].address: \"" + address + "\" ";
  const std::string end =
      ", accepted: \"10.0.0.1:8080\", \"[2001:db8::1]:8080\", \"app.internal:8080\" or "
      "\"unix:/run/app.sock\"";
  CAPTURE(text);
  REQUIRE(text.starts_with(begin));
  REQUIRE(text.ends_with(end));
  return text.substr(begin.size(), text.size() - begin.size() - end.size());
}

using Kind = Address::Kind;

TEST_CASE("an address prints as operators write it") {
  CHECK(Address{Kind::ip, "127.0.0.1", 80}.text() == "127.0.0.1:80");
  CHECK(Address{Kind::ip, "::1", 80}.text() == "[::1]:80");
  CHECK(Address{Kind::ip, "*", 80}.text() == "*:80");
  CHECK(Address{Kind::host, "app.internal", 8080}.text() == "app.internal:8080");
  CHECK(Address{Kind::unix_socket, "/run/app.sock", 0}.text() == "unix:/run/app.sock");
}

TEST_CASE("a listener takes an IP address with a port, or all addresses") {
  const auto address = [](const std::string& text) { return loaded(listener(text)).listeners[0].address; };
  CHECK(address("127.0.0.1:80") == Address{Kind::ip, "127.0.0.1", 80});
  CHECK(address("[0:0::1]:443") == Address{Kind::ip, "::1", 443});
  CHECK(address("*:80") == Address{Kind::ip, "*", 80});
  CHECK(address("127.0.0.1:0") == Address{Kind::ip, "127.0.0.1", 0});
  CHECK(address("127.0.0.1:65535").port == 65535);
}

TEST_CASE("a backend takes an IP address, a host name or a unix socket") {
  const auto address = [](const std::string& text) {
    return loaded(backend(text)).pools[0].backends[0].address;
  };
  CHECK(address("10.0.0.1:8080") == Address{Kind::ip, "10.0.0.1", 8080});
  CHECK(address("[::1]:80") == Address{Kind::ip, "::1", 80});
  CHECK(address("app.internal:8080") == Address{Kind::host, "app.internal", 8080});
  CHECK(address("localhost:8080") == Address{Kind::host, "localhost", 8080});
  CHECK(address("my_app-1:8080") == Address{Kind::host, "my_app-1", 8080});
  CHECK(address("unix:/run/app.sock") == Address{Kind::unix_socket, "/run/app.sock", 0});
}

TEST_CASE("a listener's address that is none says what it lacks") {
  CHECK(wrong_listener("127.0.0.1") == "has no port");
  CHECK(wrong_listener("80") == "has no port");
  CHECK(wrong_listener("") == "has no port");
  CHECK(wrong_listener("[::1]") == "has no port");
  CHECK(wrong_listener(":80") == "has no address before its port");
  CHECK(wrong_listener("::1") == "has no port, and no brackets around its IPv6 address");
  CHECK(wrong_listener("fe80::1:2:3:4:5:6:8080") == "has no brackets around its IPv6 address");
  CHECK(wrong_listener("[127.0.0.1]:80") == "has no IPv6 address in its brackets");
  CHECK(wrong_listener("[]:80") == "has no IPv6 address in its brackets");
  CHECK(wrong_listener("127.0.0.1:65536") == "has a port that is not a number from 0 to 65535");
  CHECK(wrong_listener("127.0.0.1:http") == "has a port that is not a number from 0 to 65535");
  CHECK(wrong_listener("127.0.0.1:") == "has a port that is not a number from 0 to 65535");
  CHECK(wrong_listener("127.0.0.1:-1") == "has a port that is not a number from 0 to 65535");
  CHECK(wrong_listener("example.com:80") == "is not an IP address and a port");
  CHECK(wrong_listener("unix:/run/x.sock") == "is a unix socket, which nothing listens at");
}

TEST_CASE("localhost is refused as a listener, with advice") {
  CHECK(wrong_listener("localhost:80") ==
        "is a name that may stand for several addresses; write the one that is meant, \"127.0.0.1\" or "
        "\"[::1]\"");
  CHECK(wrong_listener("LocalHost:80").starts_with("is a name that may stand for several addresses"));
}

TEST_CASE("a backend's address that is none says what it lacks") {
  CHECK(wrong_backend("10.0.0.1") == "has no port");
  CHECK(wrong_backend("app") == "has no port");
  CHECK(wrong_backend("10.0.0.1:0") == "has port 0, which nothing can connect to");
  CHECK(wrong_backend("::1") == "has no port, and no brackets around its IPv6 address");
  const std::string no_host = "has neither an IP address nor a host name before its port";
  CHECK(wrong_backend("*:80") == no_host);
  CHECK(wrong_backend("http://app:80") == "is a URL, not an address");
  CHECK(wrong_backend("a..b:80") == no_host);
  CHECK(wrong_backend("-a:80") == no_host);
  CHECK(wrong_backend("a/b:80") == no_host);
  CHECK(wrong_backend("a b:80") == no_host);
  CHECK(wrong_backend("10.0.0.256:80") == no_host);
  CHECK(wrong_backend("10.1:80") == no_host);
  CHECK(wrong_backend("unix:app.sock") == "has no absolute path after \"unix:\"");
  CHECK(wrong_backend("unix:") == "has no absolute path after \"unix:\"");
}

TEST_CASE("a unix socket's path is no longer than the system takes") {
  const std::string longest = "/" + std::string(106, 's');
  CHECK(loaded(backend("unix:" + longest)).pools[0].backends[0].address.host == longest);
  CHECK(faults(backend("unix:" + longest + "s")).find("has a path longer than a unix socket's may be") !=
        std::string::npos);
  CHECK(faults(backend("unix:/a\\u0000b")).find("\"unix:/a\\x00b\" holds a zero byte") != std::string::npos);
}

TEST_CASE("trusted proxies are addresses and networks") {
  const auto proxies = [](const std::string& list) {
    return listener("127.0.0.1:80\"\ntrusted_proxies = " + list + " #");
  };
  CHECK(loaded(proxies("[\"10.0.0.0/8\", \"::1\"]")).listeners[0].trusted_proxies ==
        std::vector{*Cidr::parse("10.0.0.0/8"), *Cidr::parse("::1")});
  const std::string accepted = ", accepted: an IP address or network, \"10.0.0.0/8\" or \"2001:db8::/32\"";
  CHECK(faults(proxies("[\"10.0.0.0/8\", \"proxy\"]")) ==
        "f:3:34: listener[0].trusted_proxies[1]: \"proxy\" is not an IP address or network" + accepted);
  CHECK(faults(proxies("[\"10.1.2.3/8\"]")) ==
        "f:3:20: listener[0].trusted_proxies[0]: \"10.1.2.3/8\" has bits set beyond its prefix; did you mean "
        "\"10.0.0.0/8\"?" +
            accepted.substr(1));
  CHECK(faults(proxies("[\"10.0.0.0/33\"]")) ==
        "f:3:20: listener[0].trusted_proxies[0]: \"10.0.0.0/33\" has no valid prefix length" + accepted);
}

}  // namespace limpet::conf::address_test
