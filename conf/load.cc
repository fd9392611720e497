#include "conf/load.h"

#include <algorithm>
#include <filesystem>

#include "conf/checks.h"
#include "conf/load_document.h"
#include "conf/read_file.h"
#include "conf/schema.h"

namespace limpet::conf {
namespace {

// Far beyond any real file, and little enough that a device or a mistaken path ends in a fault. A backend
// takes 28 bytes at the least, so that nobody has to count a pool's.
constexpr size_t kMostBytes = 1 * MiB;
static_assert(kMostBytes / 28 <= Pool::kMostBackends);

// A dotted key stands in one line, and toml++ 3.3 recurses for each of its parts.
constexpr size_t kMostLineBytes = 16 * KiB;

// The number of the first line that is longer than that; 0: none is.
uint32_t overlong_line(std::string_view text) {
  for (uint32_t line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > kMostLineBytes) return line;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}

void fit_into_interval(HealthCheck& check, Duration HealthCheck::* span) {
  check.*span = std::min(check.*span, check.interval);
}

// What nobody said of a check's times is at most its interval.
void fit_into_intervals(Pool& pool, const std::string& path, const Findings& findings) {
  const std::string of_pool = path + ".health.";
  for (const auto& [key, span] : kWithinInterval) {
    if (findings.given(of_pool + key)) continue;
    fit_into_interval(pool.health, span);
    for (size_t i = 0; i < pool.backends.size(); ++i) {
      const std::string of_backend = indexed(path + ".backend", i) + ".health.";
      if (!findings.given(of_backend + key)) fit_into_interval(pool.backends[i].health, span);
    }
  }
}

// Fills what follows from the rest.
void complete(Settings& settings, const std::filesystem::path& file, Findings& findings) {
  const auto beside = [&](const std::filesystem::path& path) { return (file.parent_path() / path).string(); };
  if (settings.log.access != "stdout" && settings.log.access != "off")
    settings.log.access = beside(settings.log.access);

  Secrets& secrets = settings.secrets;
  if (!secrets.key_file.empty()) {
    secrets.key_file = beside(secrets.key_file);
  } else if (secrets.keys.empty()) {
    secrets.key_file = std::filesystem::path(file).replace_extension(".keys").string();
  }
  if (!settings.status.token_file.empty()) settings.status.token_file = beside(settings.status.token_file);
  for (size_t i = 0; i < settings.pools.size(); ++i)
    fit_into_intervals(settings.pools[i], indexed("pool", i), findings);
  const auto place_certificates = [&](ListenerTls& tls) {
    for (TlsCertificate& certificate : tls.certificates) {
      certificate.file = beside(certificate.file);
      if (!certificate.key.empty()) certificate.key = beside(certificate.key);
    }
  };
  place_certificates(settings.status.tls);
  for (Listener& listener : settings.listeners) {
    place_certificates(listener.tls);
    if (!listener.tls.clients.ca.empty()) listener.tls.clients.ca = beside(listener.tls.clients.ca);
    if (!listener.acme_challenges.empty()) listener.acme_challenges = beside(listener.acme_challenges);
  }
  for (Pool& pool : settings.pools) {
    if (!pool.tls) continue;
    for (std::string* const name : {&pool.tls->ca, &pool.tls->certificate, &pool.tls->key})
      if (!name->empty()) *name = beside(*name);
  }
  if (settings.listeners.size() == 1 && !findings.given("listener[0].name")) {
    settings.listeners[0].name = settings.listeners[0].address.text();
  }
  if (settings.pools.size() == 1 && !findings.given("route")) {
    Route everything;
    everything.pool = settings.pools[0].name;
    settings.routes.push_back(everything);
  }
}

std::variant<Settings, Faults> fail(const std::string& name, std::string message) {
  return Faults{{name, 0, 0, "", std::move(message)}};
}

}  // namespace

std::variant<Settings, Faults> load_file(const std::string& path, Check further) {
  const FileText file = read_file(path, kMostBytes + 1);
  if (file.error != 0) return fail(path, file.wrong);
  if (!file.wrong.empty()) return fail(path, file.wrong + ", accepted: a TOML file");
  return load_text(file.text, path, further);
}

std::variant<Settings, Faults> load_text(std::string_view text, const std::string& name, Check further) {
  if (text.size() > kMostBytes) return fail(name, "is larger than 1MiB, accepted: a TOML file");
  if (const uint32_t line = overlong_line(text); line != 0) {
    return Faults{{name, line, 1, "", "is a line longer than 16KiB, accepted: the same in several lines"}};
  }
  Findings findings(name);
  const auto document = parse_document(text, findings);
  if (!document) return findings.take();

  Settings settings;
  read_table({*document, "", findings}, settings_keys(), settings);
  complete(settings, name, findings);
  check_names(settings, findings);
  check_routing(settings, findings);
  check_cookies(settings, findings);
  check_pools(settings, findings);
  check_health(settings, findings);
  check_effects(settings, findings);
  check_tls(settings, findings);
  if (further != nullptr && findings.none()) further(settings, findings);
  if (!findings.none()) return findings.take();
  return settings;
}

std::vector<std::string> known_keys() { return dotted(settings_keys()); }

}  // namespace limpet::conf
