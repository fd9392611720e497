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
  bool asks_http = false;       // whether any of these checks are requests
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
  for (const char* key : {"method", "path", "host", "status", "body", "drain_status", "instance_header"}) {
    if (subject.asks_http || !subject.given(key) || !subject.sound(key)) continue;
    subject.findings.fault(subject.at(key), "has no effect, accepted: only with check = \"http\"");
  }
  if (subject.checks || !subject.given("interval") || !subject.sound("interval")) return;
  subject.findings.fault(subject.at("interval"),
                         "has no effect, accepted: only with check = \"tcp\" or \"http\"");
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

  Checked whole{pool.health, path + ".health", "", false, false, findings};
  const auto count_in = [&](const HealthCheck& check) {
    whole.checks |= check.kind != Kind::none;
    whole.asks_http |= check.kind == Kind::http;
  };
  count_in(pool.health);
  bool knows_kinds = whole.sound("check");
  for (size_t i = 0; i < pool.backends.size(); ++i) {
    const Backend& backend = pool.backends[i];
    const bool checks = backend.health.kind != Kind::none, asks_http = backend.health.kind == Kind::http;
    const Checked subject{
        backend.health, indexed(path + ".backend", i) + ".health", whole.path, checks, asks_http, findings};
    count_in(backend.health);
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
