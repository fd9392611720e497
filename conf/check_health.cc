// What is said of health has an effect, and fits together.
#include "conf/checks.h"
#include "conf/quantities.h"

namespace limpet::conf {
namespace {

using Kind = HealthCheck::Kind;

// A table of a check's keys, and what it is said for: a pool's is for backends that may say another `check`.
struct Checked {
  const HealthCheck& check;
  const std::string path;
  const std::string inherited;  // the path of the table that says what this one does not; empty: none
  bool checks = false;          // whether anything is checked
  bool asks_http = false;       // whether any of these checks are of kind http
  bool asks_grpc = false;       // or grpc
  Findings& findings;

  std::string at(const char* key) const { return path + "." + key; }
  bool given(const char* key) const { return findings.given(at(key)); }
  bool sound(const char* key) const {
    if (given(key) || inherited.empty()) return !findings.broken(at(key));
    return !findings.broken(inherited + "." + key);
  }
};

// Where no check is configured a backend in doubt, or down, is asked all the same, and these say how; but not
// what for, and not every so often.
void check_effect(const Checked& subject) {
  const auto expect = [&subject](bool has_effect, const char* key, const char* kinds) {
    if (has_effect || !subject.given(key) || !subject.sound(key)) return;
    subject.findings.fault(subject.at(key),
                           std::string("has no effect, accepted: only with check = ") + kinds);
  };
  for (const char* key : {"method", "path", "status", "body", "drain_status"})
    expect(subject.asks_http, key, "\"http\"");
  for (const char* key : {"host", "instance_header"})
    expect(subject.asks_http || subject.asks_grpc, key, "\"http\" or \"grpc\"");
  expect(subject.asks_grpc, "service", "\"grpc\"");
  expect(subject.checks, "interval", "\"tcp\", \"http\" or \"grpc\"");
}

// Where a backend says neither of two keys, they are the pool's and told there.
void check_times(const Checked& subject) {
  const HealthCheck& check = subject.check;
  if (!subject.checks || !subject.sound("interval")) return;
  for (const auto& [key, span] : kWithinInterval) {
    if (check.*span <= check.interval || !subject.sound(key)) continue;
    if (subject.given(key)) {
      subject.findings.fault(subject.at(key), "is longer than `interval`, " + duration_text(check.interval) +
                                                  ", accepted: at most that");
    } else if (subject.given("interval")) {
      subject.findings.fault(subject.at("interval"), std::string("is shorter than the pool's `") + key +
                                                         "`, " + duration_text(check.*span) +
                                                         ", accepted: at least that");
    }
  }
}

void check_answer(const Checked& subject) {
  const HealthCheck& check = subject.check;
  if (!subject.asks_http) return;
  if (subject.given("status") && check.status.empty() && subject.sound("status"))
    subject.findings.fault(subject.at("status"), "is empty, so that nothing passes, accepted: at least one");
  const char* const key = subject.given("body") ? "body" : "method";
  if (check.method != "HEAD" || check.body.empty() || !subject.given(key)) return;
  subject.findings.fault(subject.at(key),
                         "asks for a `body` by HEAD, whose answers have none, accepted: with another method");
}

void check_subject(const Checked& subject) {
  check_effect(subject);
  check_times(subject);
  check_answer(subject);
}

void check_passive(const PassiveHealth& passive, const std::string& path, Findings& findings) {
  const std::string key = path + ".window";
  if (passive.failures != 0 || !findings.given(key) || findings.broken(key)) return;
  findings.fault(key, "has no effect, accepted: only with `failures` above 0");
}

void check_pool(const Pool& pool, const std::string& path, Findings& findings) {
  check_passive(pool.passive, path + ".passive", findings);

  const auto count_in = [](const HealthCheck& check, Checked& subject) {
    subject.checks |= check.kind != Kind::none;
    subject.asks_http |= check.kind == Kind::http;
    subject.asks_grpc |= check.kind == Kind::grpc;
  };
  const auto check_protocol = [&](const Checked& subject) {
    const bool is_sound = subject.sound("check") && !findings.broken(path + ".protocol");
    if (subject.check.kind != Kind::grpc || pool.protocol == Protocol::http2 || !is_sound) return;
    if (subject.given("check"))
      findings.fault(subject.at("check"), "is \"grpc\", accepted: only with protocol = \"h2\"");
  };
  Checked whole{.check = pool.health, .path = path + ".health", .inherited = "", .findings = findings};
  count_in(pool.health, whole);
  check_protocol(whole);
  bool knows_kinds = whole.sound("check");
  for (size_t i = 0; i < pool.backends.size(); ++i) {
    const Backend& backend = pool.backends[i];
    Checked subject{.check = backend.health,
                    .path = indexed(path + ".backend", i) + ".health",
                    .inherited = whole.path,
                    .findings = findings};
    count_in(backend.health, subject);
    count_in(backend.health, whole);
    check_protocol(subject);
    knows_kinds &= subject.sound("check");
    if (!subject.sound("check")) continue;
    check_subject(subject);
    if (subject.given("port") && backend.health.port != 0 && subject.sound("port") &&
        backend.address.kind == Address::Kind::unix_socket) {
      findings.fault(subject.at("port"),
                     "has no effect on a unix socket, accepted: only with an IP address or a name");
    }
  }
  if (knows_kinds) check_subject(whole);
}

}  // namespace

void check_health(const Settings& settings, Findings& findings) {
  for (size_t i = 0; i < settings.pools.size(); ++i)
    check_pool(settings.pools[i], indexed("pool", i), findings);
}

}  // namespace limpet::conf
