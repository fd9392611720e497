// Backends that are listeners of the same file.
#include "routing/loops.h"

#include "tests/conf/loading.h"

namespace limpet::routing::loops_test {

std::string faults(const std::string& text) { return conf::faults(text, check_loops); }

std::string listener(const std::string& name, const std::string& address, const std::string& lines = "") {
  return "[[listener]]\nname = \"" + name + "\"\naddress = \"" + address + "\"\n" + lines;
}
std::string route(const std::string& listener, const std::string& pool, const std::string& lines = "") {
  return "[[route]]\nlistener = \"" + listener + "\"\npool = \"" + pool + "\"\n" + lines;
}
std::string pool(const std::string& name, const std::string& address) {
  return "[[pool]]\nname = \"" + name + "\"\n[[pool.backend]]\nname = \"b\"\naddress = \"" + address + "\"\n";
}

const std::string kAccepted = ", accepted: an address that no request comes back from";

bool is_loop(const std::string& listening, const std::string& backend) {
  const std::string told = faults(listener("main", listening) + pool("app", backend));
  if (told.empty()) return false;
  CHECK(told ==
        "f:8:11: pool[0].backend[0].address: leads back to this pool, by listener \"main\"" + kAccepted);
  return true;
}

TEST_CASE("a backend that is the listener whose requests come to it is a fault") {
  CHECK(is_loop("127.0.0.1:8080", "127.0.0.1:8080"));
  CHECK(is_loop("192.0.2.1:8080", "192.0.2.1:8080"));
  CHECK(is_loop("[2001:db8::1]:8080", "[2001:db8:0::1]:8080"));
  CHECK(!is_loop("127.0.0.1:8080", "127.0.0.1:8081"));
  CHECK(!is_loop("127.0.0.1:8080", "127.0.0.2:8080"));
  CHECK(!is_loop("127.0.0.1:0", "127.0.0.1:8080"));
}

TEST_CASE("a listener at any address is at all of loopback, and elsewhere nobody knows") {
  for (const char* any : {"*:8080", "0.0.0.0:8080"}) {
    CHECK(is_loop(any, "127.0.0.1:8080"));
    CHECK(is_loop(any, "127.1.2.3:8080"));
    CHECK(is_loop(any, "0.0.0.0:8080"));
    CHECK(!is_loop(any, "192.0.2.1:8080"));
    CHECK(!is_loop(any, "127.0.0.1:8081"));
  }
  for (const char* any : {"*:8080", "[::]:8080"}) {
    CHECK(is_loop(any, "[::1]:8080"));
    CHECK(is_loop(any, "[::]:8080"));
    CHECK(!is_loop(any, "[2001:db8::1]:8080"));
  }
  CHECK(!is_loop("0.0.0.0:8080", "[::1]:8080"));
  CHECK(!is_loop("[::]:8080", "127.0.0.1:8080"));
}

TEST_CASE("of names those are known that are loopback everywhere") {
  for (const char* listening : {"127.0.0.1:8080", "[::1]:8080", "*:8080"}) {
    CHECK(is_loop(listening, "localhost:8080"));
    CHECK(is_loop(listening, "App.LocalHost:8080"));
    CHECK(!is_loop(listening, "app:8080"));
    CHECK(!is_loop(listening, "notlocalhost:8080"));
  }
  CHECK(!is_loop("127.0.0.1:8080", "unix:/run/localhost"));
}

TEST_CASE("the listener of the very address takes the connection, not the one of all") {
  CHECK(faults(listener("outer", "*:80") + listener("inner", "127.0.0.1:80") + route("outer", "in") +
               route("inner", "app") + pool("in", "127.0.0.1:80") + pool("app", "h:1")) == "");
}

TEST_CASE("a listener that leads to another pool may be a backend") {
  CHECK(faults(listener("outer", "*:80") + listener("inner", "127.0.0.1:81") + route("outer", "in") +
               route("inner", "app") + pool("in", "localhost:81") + pool("app", "h:1")) == "");
}

TEST_CASE("a circle of pools is told once, with the whole way") {
  CHECK(
      faults(listener("a", "127.0.0.1:80") + listener("b", "127.0.0.1:81") + route("a", "p") +
             route("b", "q") + pool("p", "127.0.0.1:81") + pool("q", "127.0.0.1:80")) ==
      "f:17:11: pool[0].backend[0].address: leads back to this pool, by listener \"b\", pool \"q\", listener "
      "\"a\"" +
          kAccepted);
  CHECK(faults(listener("a", "127.0.0.1:80") + listener("b", "127.0.0.1:81") + route("a", "p") +
               route("b", "q") + route("b", "p", "path = \"/p\"\n") + pool("p", "h:1") +
               pool("q", "127.0.0.1:81"))
            .find("leads back to this pool, by listener \"b\", accepted") != std::string::npos);
}

TEST_CASE("each backend that leads back by itself is told") {
  const std::string told = faults(listener("a", "127.0.0.1:80") + pool("p", "127.0.0.1:80") +
                                  "[[pool.backend]]\nname = \"c\"\naddress = \"localhost:80\"\n" +
                                  "[[pool.backend]]\nname = \"d\"\naddress = \"h:80\"\n");
  CHECK(told.find("backend[0].address: leads back") != std::string::npos);
  CHECK(told.find("backend[1].address: leads back") != std::string::npos);
  CHECK(told.find("backend[2]") == std::string::npos);
}

TEST_CASE("a request is followed by its host and its path") {
  const std::string listeners = listener("a", "127.0.0.1:80") + listener("b", "127.0.0.1:81");
  const std::string pools = pool("p", "127.0.0.1:81") + pool("q", "h:1");
  const auto loops = [&](const std::string& routes) {
    return faults(listeners + routes + pools).find("leads back to this pool") != std::string::npos;
  };
  const std::string shop = "host = \"shop.example.com\"\n", any_shop = "host = \"*.example.com\"\n";
  CHECK(loops(route("a", "p", shop) + route("b", "p") + route("", "q", "path = \"/q\"\n")));
  CHECK(loops(route("a", "p", shop) + route("b", "p", any_shop) + route("b", "q")));
  CHECK(loops(route("a", "p", "path = \"/x/y\"\n") + route("b", "p", "path = \"/x\"\n") + route("b", "q")));
  CHECK(
      loops(route("a", "p", "path = \"/x/%61\"\n") + route("b", "p", "path = \"/x/a\"\n") + route("b", "q")));
  CHECK(!loops(route("a", "p", shop) + route("b", "q", any_shop)));
  CHECK(!loops(route("a", "p", "path = \"/x/y\"\n") + route("b", "q", "path = \"/x\"\n")));
}

TEST_CASE("a listener that waits for a PROXY protocol header takes nothing from Limpet") {
  CHECK(faults(listener("a", "127.0.0.1:80", "proxy_protocol = true\n") + pool("p", "127.0.0.1:80")) == "");
}

TEST_CASE("where routes have faults nothing is said of where they lead") {
  const std::string told =
      faults(listener("a", "127.0.0.1:80") + route("a", "p", "host = \"*\"\n") + pool("p", "127.0.0.1:80"));
  CHECK(told.find("leads back") == std::string::npos);
  CHECK(told.find("route[0].host") != std::string::npos);
}

}  // namespace limpet::routing::loops_test
