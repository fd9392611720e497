// What a pool says about its affinity, its cookie, its failover and its backends fits together.
#include <algorithm>

#include "conf/ascii.h"
#include "conf/checks.h"

namespace limpet::conf {
namespace {

// A pool, its path, and where faults go.
struct Subject {
  const Pool& pool;
  const std::string path;
  Findings& findings;

  std::string at(std::string_view key) const { return path + "." + std::string(key); }
  bool given(std::string_view key) const { return findings.given(at(key)); }
  bool sound(std::string_view key) const { return !findings.broken(at(key)); }
  void fault(std::string_view key, std::string message) const { findings.fault(at(key), std::move(message)); }
};

void check_affinity(const Subject& subject) {
  const auto& kinds = subject.pool.affinity;
  if (!subject.sound("affinity")) return;
  std::vector<Placed> placed;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string key = indexed("affinity", i);
    placed.push_back({subject.at(key), std::to_string(static_cast<int>(kinds[i]))});
    if (kinds[i] == AffinityKind::ip && i + 1 < kinds.size()) {
      subject.fault(
          key,
          "leaves nothing to what follows, for every request has an address, accepted: \"ip\" as the last");
    }
  }
  refuse_repeats(placed, "each kind once", subject.findings);

  constexpr struct {
    const char* table;
    AffinityKind kind;
    const char* word;
  } kTables[] = {{"ip", AffinityKind::ip, "ip"},
                 {"cookie", AffinityKind::cookie, "cookie"},
                 {"session_id", AffinityKind::session_id, "session-id"}};
  for (const auto& each : kTables) {
    if (!subject.given(each.table) || subject.pool.uses(each.kind)) continue;
    subject.fault(each.table,
                  std::string("has no effect, accepted: only where `affinity` has \"") + each.word + "\"");
  }
}

// Every request has an address: where it comes last in `affinity`, nobody is left to be placed but whose
// cookie names a backend that is gone.
void check_placement(const Subject& subject) {
  if (!subject.given("placement") || !subject.sound("placement") || !subject.sound("affinity")) return;
  if (!subject.pool.uses(AffinityKind::ip) || subject.pool.uses(AffinityKind::cookie)) return;
  subject.fault("placement",
                "has no effect, accepted: only where `affinity` has \"cookie\" or does not end in \"ip\"");
}

void check_sources(const Subject& subject, const char* list, const std::vector<SessionIdSource>& sources) {
  std::vector<Placed> placed;
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::string key = indexed(list, i);
    if (!subject.sound(key)) continue;
    const bool has_case = sources[i].place != SessionIdSource::Place::header;  // RFC 9110, section 5.1
    const std::string name = has_case ? sources[i].name : lower_case(sources[i].name);
    placed.push_back({subject.at(key), std::to_string(static_cast<int>(sources[i].place)) + name});
    if (sources[i].place == SessionIdSource::Place::cookie && subject.pool.uses(AffinityKind::cookie) &&
        name == subject.pool.cookie_name()) {
      subject.fault(key, "is the cookie that Limpet itself sets, accepted: the application's own cookie");
    }
  }
  refuse_repeats(placed, "each source once", subject.findings);
}

void check_session_id(const Subject& subject) {
  if (!subject.sound("affinity") || !subject.pool.uses(AffinityKind::session_id)) return;
  const auto& sources = subject.pool.session_id.sources;
  if (sources.empty() && subject.sound("session_id")) {
    subject.fault("session_id.sources",
                  "is missing, accepted: where the id is, for example [\"cookie:JSESSIONID\"]");
  }
  check_sources(subject, "session_id.sources", sources);
}

void check_evidence(const Subject& subject) {
  if (!subject.sound("affinity")) return;
  if (subject.given("evidence") && subject.pool.affinity.front() == AffinityKind::session_id) {
    subject.fault("evidence",
                  "has no effect, accepted: only where `affinity` begins with \"cookie\" or \"ip\"; "
                  "`session_id.sources` says where ids are");
  }
  check_sources(subject, "evidence", subject.pool.evidence);
}

// RFC 6265bis: what browsers ask of a cookie that they are to keep.
void check_cookie(const Subject& subject) {
  const CookieAffinity& cookie = subject.pool.cookie;
  if (!subject.sound("cookie.secure")) return;
  const bool may_be_plain = cookie.secure == Secure::no;
  if (may_be_plain && cookie.same_site == SameSite::none) {
    subject.fault(
        "cookie.same_site",
        "is \"none\" without `secure`, which browsers refuse, accepted: with secure = true or \"auto\"");
  }
  if (may_be_plain && cookie.partitioned) {
    subject.fault(
        "cookie.partitioned",
        "is true without `secure`, which browsers refuse, accepted: with secure = true or \"auto\"");
  }
  const auto has_prefix = [&](std::string_view prefix) {
    return equals_ignoring_case(cookie.name.substr(0, prefix.size()), prefix);
  };
  const bool is_secure = cookie.secure == Secure::yes;
  if (has_prefix("__Secure-") && !is_secure) {
    subject.fault("cookie.name", "begins with \"__Secure-\", accepted: with secure = true");
  }
  if (has_prefix("__Host-") && !(is_secure && cookie.path == "/" && cookie.domain.empty())) {
    subject.fault("cookie.name",
                  "begins with \"__Host-\", accepted: with secure = true, path = \"/\" and no domain");
  }
}

void check_failover(const Subject& subject) {
  const Pool& pool = subject.pool;
  if (pool.failover == Failover::refuse && pool.failback == Failback::go_home) {
    subject.fault(
        "failback",
        "has no effect, for no session leaves its backend, accepted: only with failover = \"move\"");
  }
  if (pool.storage == Storage::backup && pool.backends.size() == 1)
    subject.fault("storage", "is \"backup\" with one backend, accepted: only with two or more");
  for (size_t i = 0; pool.storage != Storage::backup && i < pool.backends.size(); ++i) {
    const std::string key = indexed("backend", i) + ".backup";
    if (pool.backends[i].backup.empty() || !subject.sound(key) || !subject.sound("storage")) continue;
    subject.fault(key, "has no effect, accepted: only with storage = \"backup\"");
  }
}

void check_stateless_paths(const Subject& subject) {
  std::vector<Placed> placed;
  for (size_t i = 0; i < subject.pool.stateless_paths.size(); ++i) {
    const std::string key = indexed("stateless_paths", i);
    if (subject.sound(key)) placed.push_back({subject.at(key), subject.pool.stateless_paths[i]});
  }
  refuse_repeats(placed, "each path once", subject.findings);
}

void check_weights(const Subject& subject) {
  const auto& backends = subject.pool.backends;
  if (backends.empty()) return;
  const bool all_zero =
      std::all_of(backends.begin(), backends.end(), [](const Backend& b) { return b.weight == 0; });
  if (!all_zero) return;
  subject.fault("backend", "no backend takes new sessions, accepted: at least one with a weight above 0");
}

// What the PROXY protocol says is of one client's connection, and one of HTTP/2 is many clients'.
void check_protocol(const Subject& subject) {
  if (subject.pool.protocol != Protocol::http2 || subject.pool.send_proxy == 0) return;
  if (!subject.sound("protocol") || !subject.sound("send_proxy")) return;
  subject.fault("send_proxy", "does not go with protocol = \"h2\", accepted: one of the two");
}

void check_tls(const Subject& subject) {
  if (!subject.pool.tls) return;
  const PoolTls& tls = *subject.pool.tls;
  const auto says = [&](const char* key) { return subject.given(key) && subject.sound(key); };
  if (tls.insecure && says("tls.ca"))
    subject.fault("tls.ca", "has no effect with insecure = true, accepted: one of the two");
  if (tls.certificate.empty() && says("tls.key"))
    subject.fault("tls.key", "has no effect, accepted: only with `certificate`");
  if (tls.insecure || !tls.name.empty() || !subject.sound("tls.name")) return;
  for (size_t i = 0; i < subject.pool.backends.size(); ++i) {
    const std::string key = indexed("backend", i) + ".address";
    if (subject.pool.backends[i].address.kind != Address::Kind::unix_socket || !subject.sound(key)) continue;
    subject.fault(key,
                  "is a socket without a name that a certificate could cover, accepted: with tls.name, or "
                  "tls.insecure = true");
  }
}

}  // namespace

void check_pools(const Settings& settings, Findings& findings) {
  for (size_t i = 0; i < settings.pools.size(); ++i) {
    const Subject subject{settings.pools[i], indexed("pool", i), findings};
    check_affinity(subject);
    check_placement(subject);
    check_session_id(subject);
    check_evidence(subject);
    check_cookie(subject);
    check_failover(subject);
    check_stateless_paths(subject);
    check_weights(subject);
    check_protocol(subject);
    check_tls(subject);
  }
}

}  // namespace limpet::conf
