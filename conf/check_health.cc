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

void check_effect(const Checked& subject, bool requests_tell) {
  enum class Needs : uint8_t { http, check, check_or_requests };
  // A backend that is down because requests failed is asked for by a connection where no check is configured.
  constexpr struct {
    const char* key;
    Needs needs;
  } kKeys[] = {{"method", Needs::http},
               {"path", Needs::http},
               {"host", Needs::http},
               {"status", Needs::http},
               {"body", Needs::http},
               {"drain_status", Needs::http},
               {"port", Needs::check_or_requests},
               {"tls", Needs::check_or_requests},
               {"interval", Needs::check},
               {"fast_interval", Needs::check_or_requests},
               {"timeout", Needs::check_or_requests},
               {"rise", Needs::check_or_requests},
               {"fall", Needs::check}};
  for (const auto& each : kKeys) {
    const bool has_effect = each.needs == Needs::http    ? subject.asks_http
                            : each.needs == Needs::check ? subject.checks
                                                         : subject.checks || requests_tell;
    if (has_effect || !subject.given(each.key) || !subject.sound(each.key)) continue;
    subject.findings.fault(subject.at(each.key),
                           each.needs == Needs::http
                               ? "has no effect, accepted: only with check = \"http\""
                               : "has no effect, accepted: only with check = \"tcp\" or "
                                 "\"http\"");
  }
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

void check_subject(const Checked& subject, bool requests_tell) {
  check_effect(subject, requests_tell);
  check_times(subject);
  check_answer(subject);
}

void check_passive(const PassiveHealth& passive, const std::string& path, Findings& findings) {
  if (passive.failures != 0) return;
  for (const char* key : {".window", ".status", ".max_down_percent"}) {
    if (!findings.given(path + key) || findings.broken(path + key)) continue;
    findings.fault(path + key, "has no effect, accepted: only with `failures` above 0");
  }
}

void check_pool(const Pool& pool, const std::string& path, Findings& findings) {
  check_passive(pool.passive, path + ".passive", findings);
  const bool requests_tell = pool.passive.failures != 0;

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
    check_subject(subject, requests_tell);
    if (subject.given("port") && backend.health.port != 0 && subject.sound("port") &&
        backend.address.kind == Address::Kind::unix_socket) {
      findings.fault(subject.at("port"),
                     "has no effect on a unix socket, accepted: only with an IP address or a name");
    }
  }
  if (knows_kinds) check_subject(whole, requests_tell);
}

}  // namespace

void check_health(const Settings& settings, Findings& findings) {
  for (size_t i = 0; i < settings.pools.size(); ++i)
    check_pool(settings.pools[i], indexed("pool", i), findings);
}

}  // namespace limpet::conf
