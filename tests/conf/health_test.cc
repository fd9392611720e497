// Health checks, what requests tell, and what a pool does with backends that come and go.
#include "tests/conf/loading.h"

namespace limpet::conf::health_test {

using Kind = HealthCheck::Kind;

// A pool of two backends, "a" and "b", with lines of its own in line 3 and after, and more for "b" at the
// end.
std::string pool(const std::string& lines, const std::string& of_b = "") {
  return "[[pool]]\nname = \"app\"\n" + lines +
         "\n[[listener]]\naddress = \"127.0.0.1:80\"\n[[pool.backend]]\nname = \"a\"\naddress = \"h:1\"\n"
         "[[pool.backend]]\nname = \"b\"\naddress = \"h:2\"\n" +
         of_b;
}
Pool read(const std::string& lines, const std::string& of_b = "") {
  return loaded(pool(lines, of_b)).pools[0];
}
HealthCheck check(const std::string& lines) {
  return read("[pool.health]\ncheck = \"http\"\n" + lines).health;
}
// The faults of a line in line 5.
std::string wrong(const std::string& line) {
  return faults(pool("[pool.health]\ncheck = \"http\"\n" + line));
}

const std::string kHttpOnly = ": has no effect, accepted: only with check = \"http\"";
const std::string kRequestsOnly = ": has no effect, accepted: only with check = \"http\" or \"grpc\"";
const std::string kGrpcOnly = ": has no effect, accepted: only with check = \"grpc\"";
const std::string kChecksOnly = ": has no effect, accepted: only with check = \"tcp\", \"http\" or \"grpc\"";

TEST_CASE("nothing is checked unless the file says so") {
  CHECK(read("").health == HealthCheck());
  CHECK(read("").backends[0].health == HealthCheck());
  CHECK(read("").health.kind == Kind::none);
  CHECK(read("").passive == PassiveHealth());
}

TEST_CASE("a check is none, tcp, http or grpc") {
  CHECK(read("health.check = \"none\"").health.kind == Kind::none);
  CHECK(read("health.check = \"tcp\"").health.kind == Kind::tcp);
  CHECK(read("health.check = \"http\"").health.kind == Kind::http);
  CHECK(faults(pool("health.check = \"https\"")) ==
        "f:3:16: pool[0].health.check: unknown word \"https\", did you mean \"http\"? accepted: \"none\", "
        "\"tcp\", \"http\", \"grpc\"");
}

TEST_CASE("a check of kind grpc asks by HTTP/2 alone, for one service or for all") {
  const std::string h2 = "protocol = \"h2\"\n", grpc = "health.check = \"grpc\"\n";
  CHECK(read(h2 + grpc).health.kind == Kind::grpc);
  CHECK(read(h2 + grpc).health.service == "");
  CHECK(read(h2 + grpc + "health.service = \"shop.v1.Cart\"").backends[1].health.service == "shop.v1.Cart");
  const std::string told = "health.check: is \"grpc\", accepted: only with protocol = \"h2\"";
  CHECK(faults(pool(grpc)) == "f:3:16: pool[0]." + told);
  CHECK(faults(pool(grpc, "health.fall = 2")) == "f:3:16: pool[0]." + told);
  CHECK(faults(pool("", grpc)) == "f:12:16: pool[0].backend[1]." + told);
  CHECK(faults(pool(grpc, "health.check = \"http\"")) == "f:3:16: pool[0]." + told);
  CHECK(faults(pool(grpc + "protocol = \"h3\"")).find("only with protocol") == std::string::npos);
  const std::string accepted =
      ", accepted: a service's name, such as \"shop.v1.Cart\", or \"\" for the server as a whole";
  for (const std::string name : {"a b", "a\\n", "\u00e9", "\\u007f"})
    CHECK(faults(pool(h2 + grpc + "health.service = \"" + name + "\""))
              .ends_with("is not a service's name" + accepted));
  CHECK(faults(pool(h2 + grpc + "health.service = \"" + std::string(1025, 'x') + "\""))
            .ends_with("is too long" + accepted));
}

TEST_CASE("a check of kind grpc has keys of its own, and not those of requests of any kind") {
  const std::string h2 = "protocol = \"h2\"\n[pool.health]\ncheck = \"grpc\"\n";
  for (const std::string line :
       {"method = \"GET\"", "path = \"/\"", "status = [200]", "body = \"x\"", "drain_status = [503]"})
    CHECK(faults(pool(h2 + line)).ends_with(kHttpOnly));
  for (const std::string line : {"host = \"a\"", "instance_header = \"x\"", "port = 1", "tls = true",
                                 "interval = \"3s\"", "service = \"a\""})
    CHECK(faults(pool(h2 + line)) == "");
  for (const std::string kind : {"none", "tcp", "http"}) {
    const std::string check = "[pool.health]\ncheck = \"" + kind + "\"\nservice = \"a\"";
    CHECK(faults(pool(check)) == "f:5:11: pool[0].health.service" + kGrpcOnly);
    CHECK(faults(pool("protocol = \"h2\"\n" + check, "health.check = \"grpc\"")) == "");
  }
}

TEST_CASE("every key of a check fills its own field") {
  HealthCheck expected;
  expected.kind = Kind::http;
  expected.method = "HEAD";
  expected.path = "/health?full=1";
  expected.host = "shop.example.com";
  expected.status = {{200, 204}, {301, 301}, {302, 302}};
  expected.drain_status = {{503, 503}};
  expected.instance_header = "X-Instance";
  expected.port = 8081;
  expected.tls = true;
  expected.interval = 10s;
  expected.fast_interval = 500ms;
  expected.timeout = 3s;
  expected.rise = 4;
  expected.fall = 5;
  CHECK(check("method = \"HEAD\"\npath = \"/health?full=1\"\nhost = \"shop.example.com\"\nport = 8081\n"
              "status = [\"200-204\", \"301\", 302]\ndrain_status = [503]\ntls = true\ninterval = \"10s\"\n"
              "fast_interval = \"500ms\"\ntimeout = \"3s\"\nrise = 4\nfall = 5\n"
              "instance_header = \"X-Instance\"") == expected);
  CHECK(check("body = \"all is \\\"well\\\"\"").body == "all is \"well\"");
}

TEST_CASE("a backend's check is the pool's but for what the backend says") {
  const Pool both = read("[pool.health]\ncheck = \"http\"\npath = \"/up\"\nrise = 9",
                         "[pool.backend.health]\npath = \"/b\"\nport = 99");
  CHECK(both.backends[0].health == both.health);
  HealthCheck of_b = both.health;
  of_b.path = "/b";
  of_b.port = 99;
  CHECK(both.backends[1].health == of_b);
  CHECK(of_b.rise == 9);
}

TEST_CASE("a backend's check is the pool's wherever the pool's stands in the file") {
  const std::string text =
      "[[listener]]\naddress = \"*:80\"\n[[pool]]\nname = \"app\"\n[[pool.backend]]\nname = \"a\"\naddress = "
      "\"h:1\"\nhealth.rise = 7\n[pool.health]\ncheck = \"tcp\"\nfall = 8";
  const HealthCheck of_a = loaded(text).pools[0].backends[0].health;
  CHECK(of_a.kind == Kind::tcp);
  CHECK(of_a.rise == 7);
  CHECK(of_a.fall == 8);
}

TEST_CASE("a backend may be checked alone, or be the only one that is not") {
  CHECK(read("", "health.check = \"tcp\"").backends[0].health.kind == Kind::none);
  CHECK(read("", "health.check = \"tcp\"").backends[1].health.kind == Kind::tcp);
  CHECK(read("health.check = \"tcp\"", "health.check = \"none\"").backends[1].health.kind == Kind::none);
}

TEST_CASE("one pool's check is not another's") {
  const std::string text =
      "[[listener]]\naddress = \"*:80\"\n[[route]]\npool = \"x\"\n[[route]]\npath = \"/y\"\npool = \"y\"\n"
      "[[pool]]\nname = \"x\"\nhealth.check = \"tcp\"\nbackend = [{ name = \"a\", address = \"h:1\" }]\n"
      "[[pool]]\nname = \"y\"\nbackend = [{ name = \"a\", address = \"h:1\" }]\n";
  CHECK(loaded(text).pools[1].backends[0].health == HealthCheck());
}

TEST_CASE("status codes are single ones or ranges from 100 to 599") {
  const std::string accepted = ", accepted: a status code from 100 to 599, 204, or a range, \"200-399\"";
  const auto item = [&](const std::string& text) { return wrong("status = [" + text + "]"); };
  CHECK(check("status = [\"100-599\"]").status == std::vector<StatusRange>{{100, 599}});
  for (const std::string code : {"99", "600", "-1", "70000"}) {
    CHECK(
        item("\"" + code + "\"").starts_with("f:5:11: pool[0].health.status[0]: \"" + code + "\" is not a "));
    CHECK(item(code).starts_with("f:5:11: pool[0].health.status[0]: \"" + code + "\" is not a "));
  }
  CHECK(item("\"2xx\"") == "f:5:11: pool[0].health.status[0]: \"2xx\" is not a status code" + accepted);
  for (const std::string range : {"200-", "-200", "200-600", "99-200", "200-300-400", "200 - 300"}) {
    CHECK(item("\"" + range + "\"") ==
          "f:5:11: pool[0].health.status[0]: \"" + range + "\" is not a range of status codes" + accepted);
  }
  CHECK(item("\"300-200\"") ==
        "f:5:11: pool[0].health.status[0]: \"300-200\" ends before it begins" + accepted);
  CHECK(item("true") == "f:5:11: pool[0].health.status[0]: is a boolean" + accepted);
  CHECK(wrong("status = 200") == "f:5:10: pool[0].health.status: is an integer, accepted: a list, each" +
                                     accepted.substr(accepted.find(':') + 1));
}

TEST_CASE("some answer has to pass") {
  CHECK(wrong("status = []") ==
        "f:5:10: pool[0].health.status: is empty, so that nothing passes, accepted: at least one");
  CHECK(check("drain_status = []").drain_status.empty());
}

TEST_CASE("a check asks by one of four methods") {
  for (const std::string method : {"GET", "HEAD", "OPTIONS", "POST"})
    CHECK(check("method = \"" + method + "\"").method == method);
  CHECK(wrong("method = \"get\"") ==
        "f:5:10: pool[0].health.method: unknown word \"get\", did you mean \"GET\"? accepted: \"GET\", "
        "\"HEAD\", "
        "\"OPTIONS\", \"POST\"");
}

TEST_CASE("a check's path cannot write another header") {
  CHECK(check("path = \"/a/?b=/c%20\"").path == "/a/?b=/c%20");
  for (const std::string path : {"/a b", "/a\\r\\nX: y", "/\\u0000", "/a#b", "/\\\"", "/é"})
    CHECK(wrong("path = \"" + path + "\"").find("holds what a path or a query cannot") != std::string::npos);
  CHECK(
      wrong("path = \"healthz\"") ==
      "f:5:8: pool[0].health.path: \"healthz\" does not begin with \"/\", accepted: a path that begins with "
      "\"/\", with or without a query");
  CHECK(wrong("path = \"http://h/\"").find("does not begin") != std::string::npos);
}

TEST_CASE("a check's host is a name or an address, with or without a port") {
  for (const std::string host :
       {"", "shop.example.com", "Shop:8443", "10.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:80"})
    CHECK(check("host = \"" + host + "\"").host == host);
  for (const std::string host : {"::1", "a b", "a:", "a:x", "a:70000", ":80", "http://a", "[10.0.0.1]",
                                 "[::1", "a/b", "a\\r\\nX: y", "a:80:80", "[]"}) {
    CAPTURE(host);
    CHECK(wrong("host = \"" + host + "\"").find("is not a host, with or without a port") !=
          std::string::npos);
  }
}

TEST_CASE("the text that an answer has to contain has a limit") {
  CHECK(check("body = \"" + std::string(1024, 'x') + "\"").body.size() == 1024);
  CHECK(wrong("body = \"" + std::string(1025, 'x') + "\"")
            .ends_with("is too long, accepted: a text of at most 1024 bytes"));
}

TEST_CASE("an instance is told by a field's name, or by none") {
  for (const std::string name : {"X-Instance", "etag", ""})
    CHECK(check("instance_header = \"" + name + "\"").instance_header == name);
  for (const std::string name : {"X Instance", "X-Instance:", "X\\r\\nY", "\u00e9", "a,b"}) {
    CAPTURE(name);
    CHECK(wrong("instance_header = \"" + name + "\"")
              .ends_with("is not a field's name, accepted: a field's name, such as \"X-Instance\", or "
                         "\"\" for none"));
  }
}

TEST_CASE("nothing is found in the answer to HEAD") {
  const std::string told =
      ": asks for a `body` by HEAD, whose answers have none, accepted: with another method";
  CHECK(wrong("body = \"ok\"\nmethod = \"HEAD\"") == "f:5:8: pool[0].health.body" + told);
  CHECK(faults(pool("[pool.health]\ncheck = \"http\"\nbody = \"ok\"", "health.method = \"HEAD\"")) ==
        "f:14:17: pool[0].backend[1].health.method" + told);
  CHECK(check("method = \"HEAD\"").body == "");
}

TEST_CASE("the numbers of a check have ranges") {
  CHECK(wrong("port = 65536").ends_with("is out of range, accepted: an integer from 0 to 65535"));
  for (const std::string key : {"rise", "fall"}) {
    CHECK(wrong(key + " = 0").ends_with("is out of range, accepted: an integer from 1 to 1000"));
    CHECK(wrong(key + " = 1001").ends_with("is out of range, accepted: an integer from 1 to 1000"));
  }
  for (const std::string key : {"interval", "fast_interval", "timeout"}) {
    CHECK(wrong(key + " = \"9ms\"").ends_with("from 10ms to 1d"));
    CHECK(wrong(key + " = \"86400001ms\"").ends_with("from 10ms to 1d"));
    CHECK(wrong(key + " = \"0s\"").find("is out of range") != std::string::npos);
  }
}

TEST_CASE("what a check without HTTP does not use has no effect") {
  for (const std::string line :
       {"method = \"GET\"", "path = \"/\"", "host = \"\"", "status = [200]", "body = \"x\"",
        "drain_status = [503]", "instance_header = \"X-Instance\""}) {
    const std::string key = line.substr(0, line.find(' '));
    const std::string only = key == "host" || key == "instance_header" ? kRequestsOnly : kHttpOnly;
    const std::string told = ":" + std::to_string(key.size() + 4) + ": pool[0].health." + key + only;
    CHECK(faults(pool("[pool.health]\ncheck = \"tcp\"\n" + line)) == "f:5" + told);
    CHECK(faults(pool("[pool.health]\n" + line)) == "f:4" + told);
    CHECK(faults(pool("[pool.health]\n" + line, "health.check = \"http\"")) ==
          "");  // one backend is all it takes
    CHECK(faults(pool("", "[pool.backend.health]\ncheck = \"tcp\"\n" + line))
              .ends_with("health." + key + only));
  }
}

TEST_CASE("the pool's HTTP keys have an effect though some backends are checked otherwise") {
  const std::string line = "[pool.health]\ncheck = \"http\"\npath = \"/x\"";
  CHECK(faults(pool(line, "health.check = \"tcp\"")) == "");
  CHECK(faults(pool(line, "health.check = \"none\"")) == "");
}

TEST_CASE("how often nothing is checked has no effect") {
  const std::string line = "interval = \"5s\"";
  CHECK(faults(pool("[pool.health]\n" + line)) == "f:4:12: pool[0].health.interval" + kChecksOnly);
  CHECK(faults(pool("[pool.health]\n" + line, "health.check = \"tcp\"")) == "");
}

TEST_CASE("how a backend in doubt is asked has an effect without a check") {
  for (const std::string line :
       {"port = 1", "tls = true", "fast_interval = \"1s\"", "timeout = \"2s\"", "rise = 2", "fall = 3"}) {
    CHECK(faults(pool("[pool.health]\n" + line)) == "");
    CHECK(faults(pool("[pool.health]\n" + line + "\n[pool.passive]\nfailures = 0")) == "");
  }
}

TEST_CASE("a check whose kind is faulty makes no other faults") {
  CHECK(faults(pool("[pool.health]\ncheck = 3\npath = \"/x\"", "health.path = \"/y\"")) ==
        "f:4:9: pool[0].health.check: is an integer, accepted: \"none\", \"tcp\", \"http\", \"grpc\"");
  CHECK(faults(pool("[pool.health]\npath = \"/x\"", "health.check = 3")) ==
        "f:13:16: pool[0].backend[1].health.check: is an integer, accepted: \"none\", \"tcp\", \"http\", "
        "\"grpc\"");
}

TEST_CASE("a unix socket has no port to be checked at") {
  const std::string of_b = "[[pool.backend]]\nname = \"c\"\naddress = \"unix:/c\"\nhealth.port = ";
  CHECK(faults(pool("health.check = \"tcp\"", of_b + "1")) ==
        "f:15:15: pool[0].backend[2].health.port: has no effect on a unix socket, accepted: only with an IP "
        "address "
        "or a name");
  CHECK(faults(pool("health = { check = \"tcp\", port = 1 }", of_b + "0")) == "");
}

TEST_CASE("a check is over when the next one is due") {
  for (const std::string key : {"timeout", "fast_interval"}) {
    const std::string column = std::to_string(key.size() + 4);
    CHECK(wrong(key + " = \"5001ms\"") == "f:5:" + column + ": pool[0].health." + key +
                                              ": is longer than `interval`, 5s, accepted: at most that");
    CHECK(wrong(key + " = \"5s\"") == "");
    CHECK(wrong(key + " = \"60s\"\ninterval = \"60s\"") == "");
    CHECK(wrong(key + " = \"60s\"\ninterval = 60").find("longer") == std::string::npos);
  }
}

TEST_CASE("a backend's interval is not shorter than the pool's timeout") {
  CHECK(faults(pool("[pool.health]\ncheck = \"tcp\"\ntimeout = \"4s\"", "health.interval = \"3s\"")) ==
        "f:14:19: pool[0].backend[1].health.interval: is shorter than the pool's `timeout`, 4s, accepted: at "
        "least "
        "that");
  CHECK(faults(pool("[pool.health]\ncheck = \"tcp\"\ntimeout = \"4s\"", "health.timeout = \"6s\"")) ==
        "f:14:18: pool[0].backend[1].health.timeout: is longer than `interval`, 5s, accepted: at most that");
  CHECK(faults(pool("[pool.health]\ncheck = \"tcp\"\ninterval = 3", "health.timeout = \"6s\""))
            .find("longer") == std::string::npos);
}

TEST_CASE("a time that a backend said does not shrink") {
  CHECK(faults(pool("health.check = \"tcp\"", "health.timeout = \"6s\"")) ==
        "f:12:18: pool[0].backend[1].health.timeout: is longer than `interval`, 5s, accepted: at most that");
}

TEST_CASE("times that nobody said shrink with the interval") {
  const HealthCheck short_one = check("interval = \"100ms\"");
  CHECK(short_one.timeout == 100ms);
  CHECK(short_one.fast_interval == 100ms);
  const HealthCheck half = check("interval = \"1500ms\"\nfast_interval = \"20ms\"");
  CHECK(half.timeout == 1500ms);
  CHECK(half.fast_interval == 20ms);
  CHECK(check("interval = \"60s\"").timeout == HealthCheck().timeout);
  const Pool pool = read("health.check = \"tcp\"", "health.interval = \"500ms\"");
  CHECK(pool.backends[0].health.timeout == HealthCheck().timeout);
  CHECK(pool.backends[1].health.timeout == 500ms);
  CHECK(pool.backends[1].health.fast_interval == 500ms);
}

TEST_CASE("every key of what requests tell fills its own field") {
  PassiveHealth expected;
  expected.failures = 7;
  expected.window = 30s;
  expected.status = {{500, 504}};
  expected.max_down_percent = 25;
  CHECK(read("passive = { failures = 7, window = \"30s\", status = [\"500-504\"], max_down_percent = 25 }")
            .passive == expected);
  CHECK(faults(pool("passive.max_down_percent = 101")) ==
        "f:3:28: pool[0].passive.max_down_percent: is out of range, accepted: an integer from 0 to 100");
  CHECK(faults(pool("passive.failures = 10001")).ends_with("accepted: an integer from 0 to 10000"));
  CHECK(faults(pool("passive.window = \"0s\"")).ends_with("from 1ms to 1d"));
}

TEST_CASE("requests that tell nothing by themselves have no window") {
  CHECK(faults(pool("passive.failures = 0")) == "");
  CHECK(faults(pool("[pool.passive]\nfailures = 0\nwindow = \"1s\"")) ==
        "f:5:10: pool[0].passive.window: has no effect, accepted: only with `failures` above 0");
  for (const std::string line : {"status = [500]", "max_down_percent = 5"})
    CHECK(faults(pool("[pool.passive]\nfailures = 0\n" + line)) == "");
}

TEST_CASE("every key of retries fills its own field") {
  CHECK(read("retries = { percent = 7, floor = 3 }").retries == Retries{.percent = 7, .floor = 3});
  CHECK(faults(pool("retries.percent = 101")).ends_with("accepted: an integer from 0 to 100"));
}

TEST_CASE("a backend warms and drains over a time") {
  const Pool pool_ = read("slow_start = \"30s\"\ndrain_timeout = \"7d\"");
  CHECK(pool_.slow_start == 30s);
  CHECK(pool_.drain_timeout == 7 * 24h);
  CHECK(read("drain_timeout = \"0s\"").drain_timeout == 0s);
  CHECK(faults(pool("slow_start = \"25h\"")).ends_with("from 0s to 1d"));
  CHECK(faults(pool("drain_timeout = \"366d\"")).ends_with("from 0s to 365d"));
}

TEST_CASE("nothing comes back that never left") {
  CHECK(faults(pool("failover = \"refuse\"\nfailback = \"return\"")) ==
        "f:4:12: pool[0].failback: has no effect, for no session leaves its backend, accepted: only with "
        "failover = "
        "\"move\"");
  CHECK(faults(pool("failover = \"refuse\"\nfailback = \"stay\"")) == "");
}

TEST_CASE("paths without sessions are written as a route's, and once") {
  CHECK(read("stateless_paths = [\"/static/\", \"/favicon.ico\", \"/\"]").stateless_paths ==
        std::vector<std::string>{"/static", "/favicon.ico", "/"});
  CHECK(faults(pool("stateless_paths = [\"static\"]")) ==
        "f:3:20: pool[0].stateless_paths[0]: \"static\" does not begin with \"/\", accepted: a path that "
        "begins with "
        "\"/\"");
  CHECK(faults(pool("stateless_paths = [\"/a\", \"/a/\"]")) ==
        "f:3:26: pool[0].stateless_paths[1]: is the same as pool[0].stateless_paths[0] in line 3, accepted: "
        "each path "
        "once");
}

TEST_CASE("a backup is another backend of the pool") {
  const std::string storage = "storage = \"backup\"";
  CHECK(read(storage, "backup = \"a\"").backends[1].backup == "a");
  CHECK(read(storage, "backup = \"\"").backends[1].backup == "");
  CHECK(faults(pool(storage, "backup = \"b\"")) ==
        "f:12:10: pool[0].backend[1].backup: is the backend itself, accepted: another backend of the pool");
  CHECK(faults(pool(storage, "backup = \"c\"")) ==
        "f:12:10: pool[0].backend[1].backup: no other backend of the pool is called \"c\", accepted: \"a\"");
  const std::string third = "[[pool.backend]]\nname = \"shop-2\"\naddress = \"h:3\"\n";
  CHECK(faults(pool(storage, "backup = \"shop2\"\n" + third)) ==
        "f:12:10: pool[0].backend[1].backup: no other backend of the pool is called \"shop2\", did you mean "
        "\"shop-2\"?");
  CHECK(faults(pool(storage, "backup = 3")) ==
        "f:12:10: pool[0].backend[1].backup: is an integer, accepted: another backend's name, or \"\" for "
        "the next "
        "in rendezvous order");
}

TEST_CASE("a backup of a backend whose name is faulty makes no other fault") {
  const std::string third = "[[pool.backend]]\nname = \"the third\"\naddress = \"h:3\"\n";
  const std::string told = faults(pool("storage = \"backup\"", "backup = \"the third\"\n" + third));
  CHECK(told.starts_with("f:14:8: pool[0].backend[2].name: \"the third\" is not a name"));
  CHECK(told.find("called") == std::string::npos);
}

TEST_CASE("a backup has an effect with storage backup alone") {
  CHECK(faults(pool("", "backup = \"a\"")) ==
        "f:12:10: pool[0].backend[1].backup: has no effect, accepted: only with storage = \"backup\"");
  CHECK(faults(pool("", "backup = \"\"")) == "");
  CHECK(faults(pool("storage = \"back\"", "backup = \"a\"")).find("no effect") == std::string::npos);
}

TEST_CASE("a single backend has no backup") {
  CHECK(
      faults(
          "[[pool]]\nname = \"app\"\nstorage = \"backup\"\nbackend = [{ name = \"a\", address = \"h:1\" }]\n"
          "[[listener]]\naddress = \"*:80\"") ==
      "f:3:11: pool[0].storage: is \"backup\" with one backend, accepted: only with two or more");
}

}  // namespace limpet::conf::health_test
