// How each kind of value is read, and what is told when it is not one.
#include "tests/conf/loading.h"

namespace limpet::conf::values_test {

std::string top(const std::string& lines) { return faults(lines + kBase); }

std::string pool(const std::string& lines) {
  return "[[pool]]\n" + lines +
         "\nname = \"app\"\n[[pool.backend]]\nname = \"a\"\naddress = \"h:1\"\n[[listener]]\naddress = "
         "\"*:80\"\n";
}

const std::string kSizes =
    "a size such as \"16KiB\" (B, KB, KiB, MB, MiB, GB, GiB) or a number of bytes, from ";
const std::string kDurations =
    "a duration with its unit, such as \"30s\" or \"1m30s\" (d, h, m, s, ms), from ";

TEST_CASE("every fault of a file is told at once, in the order of the file") {
  CHECK(
      faults("worker = 1\nvia = \" \"\n[log]\nlevel = 3\n[[listener]]\n[[pool]]\nname = \"a b\"\n") ==
      "f:1:1: worker: unknown key, did you mean `workers`?\n"
      "f:2:7: via: \" \" is not a token, accepted: a token (RFC 9110), such as \"limpet\", or \"\" for none\n"
      "f:4:9: log.level: is an integer, accepted: \"debug\", \"info\", \"warning\", \"error\"\n"
      "f:5:1: listener[0].address: is missing, accepted: an IP address and a port, \"127.0.0.1:80\", "
      "\"[::1]:80\", or "
      "\"*:80\" for all addresses\n"
      "f:6:1: pool[0].backend: is missing, accepted: at least one [[pool.backend]]\n"
      "f:7:8: pool[0].name: \"a b\" is not a name, accepted: 1 to 64 letters, digits, \".\", \"_\" and "
      "\"-\"");
}

TEST_CASE("an unknown key is told the nearest one, wherever it stands") {
  CHECK(top("shutdown-timeout = \"1s\"") ==
        "f:1:1: shutdown-timeout: unknown key, did you mean `shutdown_timeout`?");
  CHECK(top("[logs]") == "f:1:2: logs: unknown key, did you mean `log`?");
  CHECK(top("[limits]\nheader = 3") == "f:2:1: limits.header: unknown key, did you mean `headers`?");
  CHECK(top("log.levle = \"info\"") == "f:1:5: log.levle: unknown key, did you mean `level`?");
  CHECK(faults(pool("afinity = \"ip\"")) == "f:2:1: pool[0].afinity: unknown key, did you mean `affinity`?");
  CHECK(faults(kBase + "wait = 1") ==
        "f:9:1: pool[0].backend[0].wait: unknown key, accepted: `name`, `address`, `weight`, `max_sessions`, "
        "`max_connections`, "
        "`backup`, `health`");
}

TEST_CASE("an unknown key that is near none is told all of its table") {
  CHECK(top("[timeouts]\ntunnel = \"1h\"") ==
        "f:2:1: timeouts.tunnel: unknown key, accepted: `idle`, `head`, `handshake`, `body`, `body_rate`");
}

TEST_CASE("an unknown key cannot write on the terminal") {
  CHECK(
      top("\"a\\u001b[31m\\n\" = 1").starts_with("f:1:1: a\\x1b[31m\\x0a: unknown key, accepted: `workers`"));
}

TEST_CASE("an integer has a range") {
  CHECK(loaded("workers = 4" + kBase).workers == 4);
  CHECK(loaded("workers = 1024" + kBase).workers == 1024);
  CHECK(top("workers = 1025") == "f:1:11: workers: is out of range, accepted: an integer from 0 to 1024");
  CHECK(top("workers = -1") == "f:1:11: workers: is out of range, accepted: an integer from 0 to 1024");
  CHECK(top("workers = 1.0") ==
        "f:1:11: workers: is a number that is not an integer, accepted: an integer from 0 to 1024");
  CHECK(top("workers = \"2\"") == "f:1:11: workers: is a string, accepted: an integer from 0 to 1024");
  CHECK(top("workers = 2024-06-11") ==
        "f:1:11: workers: is a date or time, accepted: an integer from 0 to 1024");
  CHECK(top("workers = true") == "f:1:11: workers: is a boolean, accepted: an integer from 0 to 1024");
  CHECK(top("workers = [1]") == "f:1:11: workers: is a list, accepted: an integer from 0 to 1024");
  CHECK(top("[workers]") == "f:1:1: workers: is a table, accepted: an integer from 0 to 1024");
}

TEST_CASE("every integer has its own range") {
  CHECK(top("[limits]\nheaders = 0") ==
        "f:2:11: limits.headers: is out of range, accepted: an integer from 1 to 10000");
  CHECK(faults(kBase + "weight = 65536") ==
        "f:9:10: pool[0].backend[0].weight: is out of range, accepted: an integer from 0 to 65535");
  CHECK(
      faults(kBase + "max_sessions = 4294967296") ==
      "f:9:16: pool[0].backend[0].max_sessions: is out of range, accepted: an integer from 0 to 4294967295");
  CHECK(faults(pool("max_sessions = 0")) ==
        "f:2:16: pool[0].max_sessions: is out of range, accepted: an integer from 1 to 1000000000");
  CHECK(faults(pool("affinity = \"ip\"\nip = { mask_v4 = 33, mask_v6 = 129 }")) ==
        "f:3:18: pool[0].ip.mask_v4: is out of range, accepted: an integer from 0 to 32\n"
        "f:3:32: pool[0].ip.mask_v6: is out of range, accepted: an integer from 0 to 128");
  const Settings widest = loaded(kBase + "weight = 65535\nmax_sessions = 4294967295");
  CHECK(widest.pools[0].backends[0].weight == 65535);
  CHECK(widest.pools[0].backends[0].max_sessions == 4294967295);
}

TEST_CASE("a size is a text with its unit or a number of bytes") {
  const auto head = [](const std::string& value) {
    return loaded("[limits]\ntarget = 64\nhead = " + value + kBase).limits.head;
  };
  CHECK(head("\"16KiB\"") == 16 * KiB);
  CHECK(head("\"16KB\"") == 16'000);
  CHECK(head("2048") == 2048);
  CHECK(head("\"1MiB\"") == MiB);
  CHECK(top("[limits]\nhead = \"16K\"") ==
        "f:2:8: limits.head: \"16K\" is not a size, accepted: " + kSizes + "1KiB to 1MiB");
  CHECK(top("[limits]\nhead = 1023") ==
        "f:2:8: limits.head: is out of range, accepted: " + kSizes + "1KiB to 1MiB");
  CHECK(top("[limits]\nhead = \"2MiB\"") ==
        "f:2:8: limits.head: is out of range, accepted: " + kSizes + "1KiB to 1MiB");
  CHECK(top("[limits]\nhead = -1") ==
        "f:2:8: limits.head: is out of range, accepted: " + kSizes + "1KiB to 1MiB");
  CHECK(top("[limits]\nhead = true") ==
        "f:2:8: limits.head: is a boolean, accepted: " + kSizes + "1KiB to 1MiB");
  CHECK(top("[limits]\ntarget = 63") ==
        "f:2:10: limits.target: is out of range, accepted: " + kSizes + "64B to 1MiB");
}

TEST_CASE("a body may be without limit") {
  CHECK(loaded("[limits]\nbody = 0" + kBase).limits.body == 0);
  CHECK(loaded("[limits]\nbody = \"0B\"" + kBase).limits.body == 0);
  CHECK(loaded("[limits]\nbody = 1" + kBase).limits.body == 1);
  CHECK(top("[limits]\nbody = -1") ==
        "f:2:8: limits.body: is out of range, accepted: " + kSizes + "1B to 1024GiB, or 0: no limit");
}

TEST_CASE("a body may have to come at a rate, or at none") {
  CHECK(loaded(kBase).timeouts.body_rate == 100);
  CHECK(loaded("[timeouts]\nbody_rate = \"1KiB\"" + kBase).timeouts.body_rate == 1024);
  CHECK(loaded("[timeouts]\nbody_rate = 0" + kBase).timeouts.body_rate == 0);
  CHECK(top("[timeouts]\nbody_rate = -1") == "f:2:13: timeouts.body_rate: is out of range, accepted: " +
                                                 kSizes + "1B to 1GiB, or 0: no least rate");
}

TEST_CASE("a user is named, or there is none") {
  CHECK(loaded(kBase).user == "");
  CHECK(loaded("user = \"www-data\"\n" + kBase).user == "www-data");
  CHECK(top("user = \"\"") != "");
  CHECK(top("user = \"no name\"") != "");
}

TEST_CASE("a duration is a text with its unit, never a plain number") {
  CHECK(loaded("shutdown_timeout = \"1m30s\"" + kBase).shutdown_timeout == 90s);
  CHECK(loaded("shutdown_timeout = \"0s\"" + kBase).shutdown_timeout == 0s);
  const std::string accepted = ", accepted: " + kDurations + "0s to 1d";
  CHECK(top("shutdown_timeout = 30") == "f:1:20: shutdown_timeout: is a number without a unit" + accepted);
  CHECK(top("shutdown_timeout = 0") == "f:1:20: shutdown_timeout: is a number without a unit" + accepted);
  CHECK(top("shutdown_timeout = \"30\"") == "f:1:20: shutdown_timeout: \"30\" is not a duration" + accepted);
  CHECK(top("shutdown_timeout = \"25h\"") == "f:1:20: shutdown_timeout: is out of range" + accepted);
  CHECK(top("shutdown_timeout = 1.5") ==
        "f:1:20: shutdown_timeout: is a number that is not an integer" + accepted);
}

TEST_CASE("a wait is never endless and never zero") {
  const std::string accepted = ": is out of range, accepted: " + kDurations + "1ms to 1d";
  for (const std::string key : {"idle", "head", "body"}) {
    CHECK(top("[timeouts]\n" + key + "=\"0s\"") == "f:2:6: timeouts." + key + accepted);
    CHECK(top("[timeouts]\n" + key + "=\"86400001ms\"") == "f:2:6: timeouts." + key + accepted);
  }
  for (const std::string key : {"connect", "head", "body", "stream", "tunnel", "keep_alive"}) {
    CHECK(faults(pool("timeouts." + key + "  \n=\"0s\"")) != "");
    CHECK(faults(pool("timeouts = {" + key + "=\"0s\"}")) ==
          "f:2:" + std::to_string(14 + key.size()) + ": pool[0].timeouts." + key + accepted);
  }
}

TEST_CASE("sessions live from a second to a year") {
  const std::string accepted = ": is out of range, accepted: " + kDurations + "1s to 365d";
  CHECK(faults(pool("idle_timeout = \"999ms\"")) == "f:2:16: pool[0].idle_timeout" + accepted);
  CHECK(faults(pool("unreturned_timeout = \"366d\"")) == "f:2:22: pool[0].unreturned_timeout" + accepted);
  CHECK(faults(pool("cookie.absolute_timeout = \"1ms\"")) ==
        "f:2:27: pool[0].cookie.absolute_timeout" + accepted + ", or \"0s\": none");
  CHECK(loaded(pool("cookie.absolute_timeout = \"0s\"")).pools[0].cookie.absolute_timeout == 0s);
  CHECK(loaded(pool("idle_timeout = \"365d\"")).pools[0].idle_timeout == 365 * 24h);
}

TEST_CASE("a former id lasts half a minute where nobody says otherwise, and an hour at most") {
  const std::string accepted = ": is out of range, accepted: " + kDurations + "0s to 1h";
  CHECK(loaded(pool("")).pools[0].renewal_grace == 30s);
  CHECK(loaded(pool("renewal_grace = \"0s\"")).pools[0].renewal_grace == 0s);
  CHECK(loaded(pool("renewal_grace = \"1h\"")).pools[0].renewal_grace == 1h);
  CHECK(faults(pool("renewal_grace = \"61m\"")) == "f:2:17: pool[0].renewal_grace" + accepted);
}

TEST_CASE("an unknown word is told the nearest, and all that are accepted") {
  CHECK(top("[log]\nlevel = \"warn\"") ==
        "f:2:9: log.level: unknown word \"warn\", accepted: \"debug\", \"info\", \"warning\", \"error\"");
  CHECK(top("[log]\nlevel = \"waring\"") ==
        "f:2:9: log.level: unknown word \"waring\", did you mean \"warning\"? accepted: \"debug\", \"info\", "
        "\"warning\", "
        "\"error\"");
  CHECK(faults(pool("placement = \"least_sessions\"")) ==
        "f:2:13: pool[0].placement: unknown word \"least_sessions\", did you mean \"least-sessions\"? "
        "accepted: "
        "\"least-sessions\", \"round-robin\", \"hash\", \"random-two\"");
  CHECK(faults(pool("storage = \"redis\"")) ==
        "f:2:11: pool[0].storage: unknown word \"redis\", accepted: \"local\", \"backup\", \"replicated\", "
        "\"shared\"");
  CHECK(faults(pool("failover = \"none\"")) ==
        "f:2:12: pool[0].failover: unknown word \"none\", accepted: \"move\", "
        "\"refuse\"");
  CHECK(faults(pool("failover = false")) ==
        "f:2:12: pool[0].failover: is a boolean, accepted: \"move\", \"refuse\"");
}

TEST_CASE("every word stands for its own value") {
  const auto in_pool = [](const std::string& lines) { return loaded(pool(lines)).pools[0]; };
  CHECK(in_pool("storage = \"local\"").storage == Storage::local);
  CHECK(loaded(pool("storage = \"backup\"") + "[[pool.backend]]\nname = \"b\"\naddress = \"h:2\"")
            .pools[0]
            .storage == Storage::backup);
  CHECK(in_pool("storage = \"replicated\"").storage == Storage::replicated);
  CHECK(in_pool("storage = \"shared\"").storage == Storage::shared);
  CHECK(in_pool("placement = \"least-sessions\"").placement == Placement::least_sessions);
  CHECK(in_pool("placement = \"round-robin\"").placement == Placement::round_robin);
  CHECK(in_pool("placement = \"hash\"").placement == Placement::hash);
  CHECK(in_pool("placement = \"random-two\"").placement == Placement::random_two);
  CHECK(in_pool("failover = \"move\"").failover == Failover::move);
  CHECK(in_pool("failover = \"refuse\"").failover == Failover::refuse);
  CHECK(in_pool("failback = \"stay\"").failback == Failback::stay);
  CHECK(in_pool("failback = \"return\"").failback == Failback::go_home);
  CHECK(in_pool("cookie.same_site = \"unset\"").cookie.same_site == SameSite::unset);
  CHECK(in_pool("cookie.same_site = \"lax\"").cookie.same_site == SameSite::lax);
  CHECK(in_pool("cookie.same_site = \"strict\"").cookie.same_site == SameSite::strict);
  CHECK(in_pool("cookie = { same_site = \"none\", secure = true }").cookie.same_site == SameSite::none);

  const auto log = [](const std::string& lines) { return loaded("[log]\n" + lines + kBase).log; };
  CHECK(log("level = \"debug\"").level == LogLevel::debug);
  CHECK(log("level = \"info\"").level == LogLevel::info);
  CHECK(log("level = \"warning\"").level == LogLevel::warning);
  CHECK(log("level = \"error\"").level == LogLevel::error);
  CHECK(log("access_format = \"json\"").access_format == AccessFormat::json);
  CHECK(log("access_format = \"combined\"").access_format == AccessFormat::combined);

  const auto forwarded = [](const std::string& word) {
    return loaded("[[listener]]\naddress = \"*:80\"\nforwarded = \"" + word + "\"\n" +
                  kBase.substr(kBase.find("[[pool]]")))
        .listeners[0]
        .forwarded;
  };
  CHECK(forwarded("x-forwarded") == ForwardedStyle::x_forwarded);
  CHECK(forwarded("forwarded") == ForwardedStyle::forwarded);
  CHECK(forwarded("both") == ForwardedStyle::both);
  CHECK(forwarded("none") == ForwardedStyle::none);
  const auto underscores = [](const std::string& line) {
    return loaded("[[listener]]\naddress = \"*:80\"\n" + line + kBase.substr(kBase.find("[[pool]]")))
        .listeners[0]
        .underscores;
  };
  CHECK(underscores("") == Underscores::drop);
  CHECK(underscores("underscores = \"drop\"\n") == Underscores::drop);
  CHECK(underscores("underscores = \"pass\"\n") == Underscores::pass);
  const auto traceparent = [](const std::string& line) {
    return loaded("[[listener]]\naddress = \"*:80\"\n" + line + kBase.substr(kBase.find("[[pool]]")))
        .listeners[0]
        .traceparent;
  };
  CHECK(traceparent("") == Traceparent::pass);
  CHECK(traceparent("traceparent = \"pass\"\n") == Traceparent::pass);
  CHECK(traceparent("traceparent = \"make\"\n") == Traceparent::make);
}

TEST_CASE("a boolean is true or false and nothing else") {
  CHECK(loaded(pool("cookie.http_only = false")).pools[0].cookie.http_only == false);
  CHECK(faults(pool("cookie.secure = \"yes\"")) ==
        "f:2:17: pool[0].cookie.secure: is a string, accepted: true, false or \"auto\"");
  CHECK(faults(pool("cookie.secure = 1")) ==
        "f:2:17: pool[0].cookie.secure: is an integer, accepted: true, false or \"auto\"");
}

TEST_CASE("a table is not a list of tables, nor the other way round") {
  CHECK(top("[[log]]\nlevel = \"info\"") == "f:1:1: log: is a list, accepted: a table, [log]");
  CHECK(top("log = 3") == "f:1:7: log: is an integer, accepted: a table, [log]");
  CHECK(faults("[listener]\naddress = \"*:80\"\n" + kBase.substr(kBase.find("[[pool]]"))) ==
        "f:1:1: listener: is a table, accepted: at least one [[listener]]");
  CHECK(faults("pool = [1]\n[[listener]]\naddress = \"*:80\"") ==
        "f:1:9: pool[0]: is an integer, accepted: at least one [[pool]]");
  CHECK(faults("pool = []\n[[listener]]\naddress = \"*:80\"") ==
        "f:1:8: pool: is empty, accepted: at least one [[pool]]");
}

TEST_CASE("a text is not another kind of value") {
  CHECK(top("via = 3") ==
        "f:1:7: via: is an integer, accepted: a token (RFC 9110), such as \"limpet\", or \"\" for none");
  CHECK(top("[log]\naccess = false") ==
        "f:2:10: log.access: is a boolean, accepted: \"stdout\", \"off\" or a file's path, relative to this "
        "file's folder or "
        "absolute");
  CHECK(top("[log]\naccess = \"\"") ==
        "f:2:10: log.access: \"\" is empty, accepted: \"stdout\", \"off\" or a file's path, relative to this "
        "file's folder or "
        "absolute");
}

TEST_CASE("a value that is shown is cut short and harmless") {
  CHECK(top("via = \"" + std::string(100, 'x') + " \"")
            .starts_with("f:1:7: via: \"" + std::string(40, 'x') + "...\" is not a token"));
  CHECK(top("via = \"a\\nb\"").starts_with("f:1:7: via: \"a\\x0ab\" is not a token"));
}

}  // namespace limpet::conf::values_test
