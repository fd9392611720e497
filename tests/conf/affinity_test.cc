// What a pool says about its affinity: kinds, cookies, sources, weights.
#include "tests/conf/loading.h"

namespace limpet::conf::affinity_test {

std::string pool(const std::string& lines) {
  return "[[pool]]\n" + lines +
         "\nname = \"app\"\nbackend = [{ name = \"a\", address = \"h:1\" }]\n[[listener]]\naddress = "
         "\"*:80\"\n";
}

TEST_CASE("affinity is one kind or several in order") {
  const auto kinds = [](const std::string& lines) { return loaded(pool(lines)).pools[0].affinity; };
  using List = std::vector<AffinityKind>;
  const std::string sources = "\nsession_id.sources = [\"cookie:sid\"]";
  CHECK(kinds("") == List{AffinityKind::cookie});
  CHECK(kinds("affinity = \"ip\"") == List{AffinityKind::ip});
  CHECK(kinds("affinity = [\"cookie\"]") == List{AffinityKind::cookie});
  CHECK(kinds("affinity = \"session-id\"" + sources) == List{AffinityKind::session_id});
  CHECK(kinds("affinity = [\"session-id\", \"cookie\", \"ip\"]" + sources) ==
        List{AffinityKind::session_id, AffinityKind::cookie, AffinityKind::ip});
}

TEST_CASE("affinity that is none of the kinds is a fault") {
  CHECK(faults(pool("affinity = \"session_id\"")) ==
        "f:2:12: pool[0].affinity: unknown word \"session_id\", did you mean \"session-id\"? accepted: "
        "\"ip\", \"cookie\", "
        "\"session-id\"");
  CHECK(faults(pool("affinity = [\"cookie\", 3]")) ==
        "f:2:23: pool[0].affinity[1]: is an integer, accepted: \"ip\", \"cookie\", \"session-id\"");
  CHECK(
      faults(pool("affinity = []")) ==
      "f:2:12: pool[0].affinity: is empty, accepted: \"ip\", \"cookie\", \"session-id\", or a list of these");
}

TEST_CASE("a faulty kind makes no other faults") {
  CHECK(faults(pool("affinity = [\"ip\", 3]")) ==
        "f:2:19: pool[0].affinity[1]: is an integer, accepted: \"ip\", \"cookie\", \"session-id\"");
}

TEST_CASE("no kind of affinity stands twice") {
  CHECK(
      faults(pool("affinity = [\"cookie\", \"cookie\"]")) ==
      "f:2:23: pool[0].affinity[1]: is the same as pool[0].affinity[0] in line 2, accepted: each kind once");
}

TEST_CASE("nothing follows ip, which every request has") {
  CHECK(faults(pool("affinity = [\"ip\", \"cookie\"]")) ==
        "f:2:13: pool[0].affinity[0]: leaves nothing to what follows, for every request has an address, "
        "accepted: \"ip\" as "
        "the last");
}

TEST_CASE("a table of an affinity that is not used is a fault") {
  CHECK(faults(pool("affinity = \"ip\"\ncookie = { secure = true }")) ==
        "f:3:10: pool[0].cookie: has no effect, accepted: only where `affinity` has \"cookie\"");
  CHECK(faults(pool("ip.mask_v4 = 24")) ==
        "f:2:1: pool[0].ip: has no effect, accepted: only where `affinity` has \"ip\"");
  CHECK(faults(pool("session_id.sources = [\"cookie:x\"]")) ==
        "f:2:1: pool[0].session_id: has no effect, accepted: only where `affinity` has \"session-id\"");
}

TEST_CASE("a placement that nothing is placed by is a fault") {
  const std::string ids = "\nsession_id.sources = [\"cookie:sid\"]";
  const std::string told =
      "f:3:13: pool[0].placement: has no effect, accepted: only where `affinity` has \"cookie\" or does not "
      "end in \"ip\"";
  const auto placed = [](const std::string& affinity, const std::string& rest = "") {
    return faults(pool("affinity = " + affinity + "\nplacement = \"hash\"" + rest));
  };
  CHECK(placed("\"ip\"") == told);
  CHECK(placed("[\"session-id\", \"ip\"]", ids) == told);
  CHECK(placed("[\"cookie\", \"ip\"]") == "");
  CHECK(placed("\"session-id\"", ids) == "");
  CHECK(faults(pool("affinity = \"ip\"\nplacement = \"\"")).find("no effect") == std::string::npos);
}

TEST_CASE("evidence is where an id may show that affinity does not go by") {
  CHECK(loaded(pool("evidence = [\"cookie:sid\"]")).pools[0].evidence.size() == 1);
  CHECK(faults(pool("evidence = [\"cookie:sid\", \"cookie:sid\"]")).find("each source once") !=
        std::string::npos);
  CHECK(faults(pool("evidence = [\"cookie:limpet_app\"]")).find("is the cookie that Limpet itself sets") !=
        std::string::npos);
  CHECK(faults(pool("affinity = \"session-id\"\nsession_id.sources = [\"cookie:sid\"]\nevidence = "
                    "[\"cookie:sid\"]"))
            .find("evidence: has no effect, accepted: only where `affinity` begins with") !=
        std::string::npos);
}

TEST_CASE("session-id needs to know where the id is") {
  const std::string told =
      "session_id.sources: is missing, accepted: where the id is, for example [\"cookie:JSESSIONID\"]";
  CHECK(faults(pool("affinity = \"session-id\"")) == "f:1:1: pool[0]." + told);
  CHECK(faults(pool("affinity = \"session-id\"\nsession_id = {}")) == "f:3:14: pool[0]." + told);
  CHECK(faults(pool("affinity = \"session-id\"\nsession_id.sources = []")) == "f:3:22: pool[0]." + told);
}

TEST_CASE("a source is a place and a name in it") {
  using Place = SessionIdSource::Place;
  CHECK(loaded(pool("affinity = \"session-id\"\nsession_id.sources = [\"cookie:JSESSIONID\", "
                    "\"header:Mcp-Session-Id\", "
                    "\"query:sid\", \"path:jsessionid\"]"))
            .pools[0]
            .session_id.sources == std::vector<SessionIdSource>{{Place::cookie, "JSESSIONID"},
                                                                {Place::header, "Mcp-Session-Id"},
                                                                {Place::query, "sid"},
                                                                {Place::path, "jsessionid"}});
}

TEST_CASE("a source that is none says what is wrong") {
  const auto wrong = [](const std::string& source) {
    const std::string told =
        faults(pool("affinity = \"session-id\"\nsession_id.sources = [\"" + source + "\"]"));
    const std::string begin = "f:3:23: pool[0].session_id.sources[0]: \"" + source + "\" ";
    const std::string end =
        ", accepted: a place and a name, \"cookie:JSESSIONID\", \"header:Mcp-Session-Id\", \"query:sid\" or "
        "\"path:jsessionid\"";
    CAPTURE(told);
    REQUIRE(told.starts_with(begin));
    REQUIRE(told.ends_with(end));
    return told.substr(begin.size(), told.size() - begin.size() - end.size());
  };
  CHECK(wrong("JSESSIONID") == "does not say where the id is");
  CHECK(wrong("body:sid") == "names no place that is looked at");
  CHECK(wrong("Cookie:sid") == "names no place that is looked at");
  for (const char* source : {"cookie:", "cookie:a b", "cookie:a;b", "cookie:a=b", "header:a:b", "header:ä",
                             "query:", "query:a&b", "query:a=b", "path:a;b", "path:a/b", "path:a?b"}) {
    CAPTURE(source);
    CHECK(wrong(source) == "has no valid name");
  }
}

TEST_CASE("no source stands twice, and header names have no case") {
  const auto sources = [](const std::string& list) {
    return faults(pool("affinity = \"session-id\"\nsession_id.sources = " + list));
  };
  CHECK(sources("[\"header:X-Id\", \"header:x-id\"]") ==
        "f:3:38: pool[0].session_id.sources[1]: is the same as pool[0].session_id.sources[0] in line 3, "
        "accepted: each source "
        "once");
  CHECK(sources("[\"cookie:id\", \"cookie:ID\", \"query:id\", \"path:id\"]") == "");
}

TEST_CASE("faulty sources are not called equal") {
  const std::string told = faults(pool("affinity = \"session-id\"\nsession_id.sources = [\"x\", \"y\"]"));
  CHECK(told.starts_with("f:3:23: pool[0].session_id.sources[0]: \"x\" does not say where the id is"));
  CHECK(told.find("\nf:3:28: pool[0].session_id.sources[1]: \"y\" does not say where the id is") !=
        std::string::npos);
  CHECK(told.find("is the same") == std::string::npos);
}

TEST_CASE("the application's id is not looked for in Limpet's own cookie") {
  CHECK(
      faults(pool("affinity = [\"session-id\", \"cookie\"]\nsession_id.sources = [\"cookie:limpet_app\"]")) ==
      "f:3:23: pool[0].session_id.sources[0]: is the cookie that Limpet itself sets, accepted: the "
      "application's own cookie");
  CHECK(faults(pool("affinity = \"session-id\"\nsession_id.sources = [\"cookie:limpet_app\"]")) == "");
}

TEST_CASE("a cookie is called after its pool unless it has a name") {
  CHECK(loaded(pool("")).pools[0].cookie_name() == "limpet_app");
  CHECK(loaded(pool("cookie.name = \"\"")).pools[0].cookie_name() == "limpet_app");
  CHECK(loaded(pool("cookie.name = \"ROUTE\"")).pools[0].cookie_name() == "ROUTE");
}

TEST_CASE("a cookie's name is a token") {
  for (const char* name : {"a b", "a=b", "a;b", "a,b", "ä", "a\\u0001", "(a)", "\\\"a\\\""}) {
    CAPTURE(name);
    const std::string told = faults(pool(std::string("cookie.name = \"") + name + "\""));
    CHECK(told.starts_with("f:2:15: pool[0].cookie.name: "));
    CHECK(told.ends_with(
        "is not a cookie's name, accepted: a token (RFC 6265), or \"\" for \"limpet_\" and the pool's name"));
  }
}

TEST_CASE("a cookie's path, domain and attributes hold nothing that ends them") {
  const std::string path = ", accepted: a path that begins with \"/\"";
  CHECK(faults(pool("cookie.path = \"app\"")) ==
        "f:2:15: pool[0].cookie.path: \"app\" does not begin with \"/\"" + path);
  CHECK(faults(pool("cookie.path = \"/a;b\"")) ==
        "f:2:15: pool[0].cookie.path: \"/a;b\" holds \";\" or what is not printable ASCII" + path);
  CHECK(faults(pool("cookie.path = \"/a\\r\\nb\"")) ==
        "f:2:15: pool[0].cookie.path: \"/a\\x0d\\x0ab\" holds \";\" or what is not printable ASCII" + path);

  CHECK(faults(pool("cookie.path = \"/a\\u007f\"")) ==
        "f:2:15: pool[0].cookie.path: \"/a\\x7f\" holds \";\" or what is not printable ASCII" + path);

  const std::string domain = ", accepted: a host name, or \"\" for the host alone";
  CHECK(loaded(pool("cookie.domain = \"Example.com\"")).pools[0].cookie.domain == "example.com");
  CHECK(faults(pool("cookie.domain = \"a;b\"")) ==
        "f:2:17: pool[0].cookie.domain: \"a;b\" is not a host name" + domain);
  CHECK(faults(pool("cookie.domain = \".example.com\"")) ==
        "f:2:17: pool[0].cookie.domain: \".example.com\" begins with a dot; names below are included without "
        "it" +
            domain);

  const std::string attribute = ", accepted: a further attribute, such as \"Priority=High\"";
  CHECK(loaded(pool("cookie.attributes = [\"Priority=High\", \"X\"]")).pools[0].cookie.attributes ==
        std::vector<std::string>{"Priority=High", "X"});
  CHECK(faults(pool("cookie.attributes = [\"a\", \"a;b\"]")) ==
        "f:2:27: pool[0].cookie.attributes[1]: \"a;b\" holds \";\" or what is not printable ASCII" +
            attribute);
  CHECK(faults(pool("cookie.attributes = [\"\"]")) ==
        "f:2:22: pool[0].cookie.attributes[0]: \"\" is empty" + attribute);
  for (const std::string known :
       {"Path=/", "domain=x", "SECURE", "HttpOnly", "SameSite=Lax", "Partitioned", "Secure "}) {
    CHECK(faults(pool("cookie.attributes = [\"" + known + "\"]")) ==
          "f:2:22: pool[0].cookie.attributes[0]: \"" + known + "\" has a key of its own" + attribute);
  }
}

TEST_CASE("what browsers keep over HTTPS only asks for secure") {
  CHECK(faults(pool("cookie.same_site = \"none\"")) ==
        "f:2:20: pool[0].cookie.same_site: is \"none\" without `secure`, which browsers refuse, accepted: "
        "with secure = true or \"auto\"");
  CHECK(faults(pool("cookie.partitioned = true")) ==
        "f:2:22: pool[0].cookie.partitioned: is true without `secure`, which browsers refuse, accepted: with "
        "secure = true or \"auto\"");
  CHECK(faults(pool("cookie = { same_site = \"none\", partitioned = true, secure = true }")) == "");
  CHECK(faults(pool("cookie = { same_site = \"none\", partitioned = true, secure = \"auto\" }")) == "");
  CHECK(faults(pool("cookie.partitioned = false")) == "");
}

TEST_CASE("a faulty secure makes no other faults, and another key's fault hides none") {
  CHECK(faults(pool("cookie = { secure = 1, partitioned = true }")) ==
        "f:2:21: pool[0].cookie.secure: is an integer, accepted: true, false or \"auto\"");
  const std::string told = faults(pool("cookie = { http_only = 1, partitioned = true }"));
  CHECK(told.starts_with("f:2:24: pool[0].cookie.http_only: "));
  CHECK(told.find("\nf:2:41: pool[0].cookie.partitioned: ") != std::string::npos);
}

TEST_CASE("a cookie's prefix promises what it must") {
  const std::string secure =
      "f:2:19: pool[0].cookie.name: begins with \"__Secure-\", accepted: with secure = true";
  const std::string host =
      "f:2:19: pool[0].cookie.name: begins with \"__Host-\", accepted: with secure = true, path = \"/\" and "
      "no domain";
  const auto told = [](const std::string& name, const std::string& rest) {
    return faults(pool("cookie = { name = \"" + name + "\"" + rest + " }"));
  };
  CHECK(told("__Secure-a", "") == secure);
  CHECK(told("__secure-a", "") == secure);
  CHECK(told("__Secure-a", ", secure = true") == "");
  CHECK(told("__Host-a", "") == host);
  CHECK(told("__HOST-a", ", secure = true, path = \"/a\"") == host);
  CHECK(told("__Host-a", ", secure = true, domain = \"example.com\"") == host);
  CHECK(told("__Host-a", ", secure = true") == "");
}

TEST_CASE("some backend takes new sessions") {
  const auto weights = [](const std::string& a, const std::string& b) {
    return faults(
        "[[listener]]\naddress = \"*:80\"\n[[pool]]\nname = \"app\"\n[[pool.backend]]\nname = \"a\"\naddress "
        "= \"h:1\"\nweight = " +
        a + "\n[[pool.backend]]\nname = \"b\"\naddress = \"h:2\"\nweight = " + b);
  };
  CHECK(
      weights("0", "0") ==
      "f:5:1: pool[0].backend: no backend takes new sessions, accepted: at least one with a weight above 0");
  CHECK(weights("0", "1") == "");
}

TEST_CASE("a pool has a backend, with name and address") {
  const std::string head = "[[listener]]\naddress = \"*:80\"\n[[pool]]\nname = \"app\"\n";
  CHECK(faults(head) == "f:3:1: pool[0].backend: is missing, accepted: at least one [[pool.backend]]");
  CHECK(faults(head + "backend = []") ==
        "f:5:11: pool[0].backend: is empty, accepted: at least one [[pool.backend]]");
  CHECK(faults(head + "[[pool.backend]]") ==
        "f:5:1: pool[0].backend[0].name: is missing, accepted: 1 to 64 letters, digits, \".\", \"_\" and "
        "\"-\"\n"
        "f:5:1: pool[0].backend[0].address: is missing, accepted: \"10.0.0.1:8080\", \"[2001:db8::1]:8080\", "
        "\"app.internal:8080\" or \"unix:/run/app.sock\"");
}

// Two pools, each with a route and a cookie's table, behind two listeners.
std::string two(const std::string& route_a, const std::string& cookie_a, const std::string& route_b,
                const std::string& cookie_b, const std::string& affinity_b = "cookie") {
  const std::string backend = "backend = [{ name = \"x\", address = \"h:1\" }]\n";
  return faults(
      "[[route]]\n" + route_a + "\npool = \"a\"\n[[route]]\n" + route_b +
      "\npool = \"b\"\n[[pool]]\nname = \"a\"\n" + backend + "cookie = { " + cookie_a +
      " }\n[[pool]]\nname = \"b\"\n" + backend + "affinity = \"" + affinity_b + "\"\n" +
      (cookie_b.empty() ? "" : "cookie = { " + cookie_b + " }\n") +
      "[[listener]]\nname = \"one\"\naddress = \"*:1\"\n[[listener]]\nname = \"two\"\naddress = \"*:2\"\n");
}

TEST_CASE("two pools on one host do not share a cookie's name") {
  const std::string told =
      "f:15:19: pool[1].cookie.name: is also the cookie of pool \"a\" on a host of both, accepted: a name of "
      "its own, or none for "
      "the default";
  const std::string name = "name = \"ROUTE\"";
  CHECK(two("", name, "path = \"/b\"", name) == told);
  CHECK(two("host = \"x.example\"", name, "host = \"x.example\"\npath = \"/b\"", name).substr(5) ==
        told.substr(5));
  CHECK(two("host = \"x.example\"", name, "host = \"*.example\"", name) == told);
  CHECK(two("host = \"*.a.example\"", name, "host = \"*.example\"", name) == told);
  CHECK(two("host = \"x.example\"", name, "", name) == told);
  CHECK(two("listener = \"one\"", name, "path = \"/b\"", name) == told);
}

TEST_CASE("of three pools with one cookie each later one is told once") {
  std::string text = "[[listener]]\naddress = \"*:80\"\n";
  for (const std::string name : {"a", "b", "c"}) {
    text += "[[route]]\npath = \"/" + name + "\"\npool = \"" + name + "\"\n";
  }
  for (const std::string name : {"a", "b", "c"}) {
    text += "[[pool]]\nname = \"" + name +
            "\"\nbackend = [{ name = \"x\", address = \"h:1\" }]\ncookie.name = \"R\"\n";
  }
  const std::string end = " on a host of both, accepted: a name of its own, or none for the default";
  CHECK(faults(text) == "f:19:15: pool[1].cookie.name: is also the cookie of pool \"a\"" + end +
                            "\nf:23:15: pool[2].cookie.name: is also the cookie of pool \"a\"" + end);
}

TEST_CASE("a cookie's explicit name is not another pool's default") {
  const std::string end =
      "is also the cookie of pool \"b\" on a host of both, accepted: a name of its own, or none for the "
      "default";
  CHECK(two("", "name = \"limpet_b\"", "path = \"/b\"", "secure = true") ==
        "f:10:19: pool[0].cookie.name: " + end);
  CHECK(two("", "secure = true", "path = \"/b\"", "name = \"limpet_a\"")
            .starts_with("f:15:19: pool[1].cookie.name: "));
}

TEST_CASE("pools whose cookies never meet may share a name") {
  const std::string name = "name = \"ROUTE\"";
  CHECK(two("host = \"a.example\"", name, "host = \"b.example\"", name) == "");
  CHECK(two("host = \"*.a.example\"", name, "host = \"a.example\"", name) == "");
  CHECK(two("host = \"example\"", name, "host = \"*.example.com\"", name) == "");
  CHECK(two("listener = \"one\"", name, "listener = \"two\"", name) == "");
  CHECK(two("path = \"/a\"", name + ", path = \"/a\"", "path = \"/b\"", name + ", path = \"/b\"") == "");
  CHECK(two("path = \"/a\"", name + ", path = \"/a\"", "path = \"/ab\"", name + ", path = \"/ab\"") == "");
  CHECK(two("", name, "path = \"/b\"", "", "ip") == "");
}

TEST_CASE("cookies of nested paths meet") {
  const std::string name = "name = \"ROUTE\"";
  CHECK(two("path = \"/a\"", name + ", path = \"/a\"", "path = \"/a/b\"", name + ", path = \"/a/b\"") != "");
  CHECK(two("path = \"/a\"", name + ", path = \"/a/\"", "path = \"/a/b\"", name + ", path = \"/a/b\"") != "");
}

TEST_CASE("cookies of one domain meet on all its hosts") {
  const std::string name = "name = \"ROUTE\"", domain = ", domain = \"example.com\"";
  CHECK(two("host = \"a.example.com\"", name + domain, "host = \"b.example.com\"", name + domain) != "");
  CHECK(two("host = \"a.example.com\"", name + domain, "host = \"b.example.com\"", name) != "");
  CHECK(two("host = \"a.example.com\"", name + domain, "host = \"b.example.org\"", name) == "");
}

}  // namespace limpet::conf::affinity_test
