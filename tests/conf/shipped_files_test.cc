// The files that come with Limpet: they load, limpet.toml shows every key with its default, and nothing that
// happens to it confuses the loader.
#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "tests/conf/loading.h"

namespace limpet::conf::shipped_files_test {

const std::string kFolder = LIMPET_SOURCE_DIR "/conf/";

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  REQUIRE(!text.str().empty());
  return text.str();
}

// The keys that a file shows, dotted: also those in comments of the form "# key = value" and "# [table]".
std::vector<std::string> shown_keys(const std::string& text) {
  std::vector<std::string> keys;
  std::string table, line;
  for (std::istringstream lines(text); std::getline(lines, line);) {
    if (line.starts_with("# ")) line.erase(0, 2);
    if (line.starts_with('[') && line.ends_with(']')) {
      const size_t begin = line.find_first_not_of('[');
      table = line.substr(begin, line.find(']') - begin);
      keys.push_back(table);
      table += ".";
      continue;
    }
    const size_t end = line.find(" = ");
    if (end != line.npos && line.find(' ') == end) keys.push_back(table + line.substr(0, end));
  }
  return keys;
}

using Names = std::set<std::string>;

// What stands below `table`, without its name; it is taken out of `keys`.
Names taken_below(const std::string& table, Names& keys) {
  Names out;
  for (auto key = keys.begin(); key != keys.end();) {
    const bool below = key->starts_with(table + ".");
    if (below) out.insert(key->substr(table.size() + 1));
    key = below ? keys.erase(key) : std::next(key);
  }
  return out;
}

TEST_CASE("limpet.toml shows every key that is known, and no other") {
  const auto listed = shown_keys(read(kFolder + "limpet.toml")), all = known_keys();
  Names shown(listed.begin(), listed.end()), known(all.begin(), all.end());
  CHECK(known.size() > 80);
  // A backend's check has the keys of its pool's, which are shown once.
  const Names of_backend = taken_below("pool.backend.health", known);
  taken_below("pool.backend.health", shown);
  CHECK(shown == known);
  CHECK(of_backend == taken_below("pool.health", known));
  CHECK(of_backend.contains("fall"));
}

TEST_CASE("limpet.toml has a comment above every key, the first time it stands there") {
  std::map<std::string, bool> seen;
  std::string line, before, table;
  for (std::istringstream lines(read(kFolder + "limpet.toml")); std::getline(lines, line); before = line) {
    if (line.starts_with('[')) table = line;
    if (line.starts_with('#') || line.starts_with('[') || line.empty()) continue;
    CAPTURE(line);
    const std::string key = table + line.substr(0, line.find(' '));
    if (!seen[key]) CHECK(before.starts_with("# "));
    seen[key] = true;
  }
}

TEST_CASE("limpet.toml says the defaults") {
  const auto result = load_file(kFolder + "limpet.toml", nullptr);
  REQUIRE(std::holds_alternative<Settings>(result));
  const Settings& read = std::get<Settings>(result);

  // Whatever is not said here is a default of the structs.
  Settings expected;
  expected.secrets.key_file = kFolder + "limpet.keys";
  Listener listener;
  listener.name = "main";
  listener.address = {Address::Kind::ip, "127.0.0.1", 8080};
  expected.listeners = {listener};
  Route to_shop, to_api;
  to_shop.pool = "shop";
  to_api.pool = "api";
  to_api.path = "/api";
  expected.routes = {to_shop, to_api};

  const auto backend = [](const std::string& name, uint16_t port) {
    Backend made;
    made.name = name;
    made.address = {Address::Kind::ip, "127.0.0.1", port};
    return made;
  };
  Pool shop, api;
  shop.name = "shop";
  shop.health.kind = HealthCheck::Kind::http;
  shop.backends = {backend("shop-1", 9001), backend("shop-2", 9002)};
  for (Backend& each : shop.backends) each.health.kind = HealthCheck::Kind::http;
  api.name = "api";
  api.affinity = {AffinityKind::session_id, AffinityKind::ip};
  api.session_id.sources = {{SessionIdSource::Place::cookie, "JSESSIONID"},
                            {SessionIdSource::Place::header, "Mcp-Session-Id"},
                            {SessionIdSource::Place::query, "sid"},
                            {SessionIdSource::Place::path, "jsessionid"}};
  api.backends = {backend("api-1", 9003)};
  expected.pools = {shop, api};

  CHECK(read == expected);
}

TEST_CASE("limpet.toml's key file is the default one") {
  const std::string with = read(kFolder + "limpet.toml"), line = "key_file = \"limpet.keys\"\n";
  std::string without = with;
  without.erase(without.find(line), line.size());
  CHECK(loaded(with, "/etc/limpet.toml") == loaded(without, "/etc/limpet.toml"));
}

TEST_CASE("quickstart.toml is three local backends behind one listener") {
  const auto result = load_file(kFolder + "quickstart.toml", nullptr);
  REQUIRE(std::holds_alternative<Settings>(result));
  const Settings& read = std::get<Settings>(result);
  REQUIRE(read.listeners.size() == 1);
  CHECK(read.listeners[0].address.text() == "127.0.0.1:8080");
  REQUIRE(read.pools.size() == 1);
  CHECK(read.pools[0].affinity == std::vector{AffinityKind::cookie});
  CHECK(read.pools[0].health.kind == HealthCheck::Kind::http);
  CHECK(read.pools[0].health.path == "/");
  REQUIRE(read.pools[0].backends.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(read.pools[0].backends[i].name == std::string(1, static_cast<char>('a' + i)));
    CHECK(read.pools[0].backends[i].address.text() == "127.0.0.1:" + std::to_string(9001 + i));
  }
  CHECK(read.log.access == "stdout");
  CHECK(read.log.access_format == AccessFormat::json);
}

// Does a few of what happens to a file: bytes changed, pieces lost, doubled, moved.
std::string damaged(std::string text, std::mt19937& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  for (auto times = 1 + below(4); times > 0; --times) {
    const size_t at = below(text.size()), size = below(std::min<size_t>(200, text.size() - at)) + 1;
    static const std::string kPieces[] = {"\"",         "[",
                                          "]",          "[[",
                                          "=",          "\n",
                                          "#",          "{",
                                          "}",          "'''",
                                          "0",          "-1",
                                          "true",       "\"\"",
                                          "[[pool]]\n", "99999999999999999999",
                                          "\xff",       std::string(1, '\0'),
                                          "\\u0000",    "é"};
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(below(256));
        break;
      case 1:
        text.erase(at, size);
        break;
      case 2:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 3:
        text.insert(below(text.size()), text.substr(at, size));
        break;
      case 4:
        text.replace(at, 1, kPieces[below(std::size(kPieces))]);
        break;
      default: {  // a line without its comment, or a comment's example without its '#'
        const size_t line = text.find('\n', at);
        if (line != text.npos && text.compare(line + 1, 2, "# ") == 0) text.erase(line + 1, 2);
      }
    }
    if (text.empty()) text = "\n";
  }
  return text;
}

TEST_CASE("a damaged file gives settings that hold, or faults with a place and a text in one line") {
  const std::string whole = read(kFolder + "limpet.toml");
  const unsigned seed = 20250214;
  CAPTURE(seed);
  std::mt19937 random(seed);
  int refused = 0, read = 0;
  for (int i = 0; i < 1'500; ++i) {
    const std::string text = damaged(whole, random);
    const auto result = load_text(text, "f");
    CAPTURE(i);
    if (const Settings* settings = std::get_if<Settings>(&result)) {
      ++read;
      REQUIRE(!settings->listeners.empty());
      REQUIRE(!settings->routes.empty());
      REQUIRE(!settings->pools.empty());
      for (const Pool& pool : settings->pools) {
        REQUIRE(!pool.backends.empty());
        for (const Backend& backend : pool.backends) {
          REQUIRE(backend.health.timeout <= backend.health.interval);
          REQUIRE(backend.health.fast_interval <= backend.health.interval);
          REQUIRE(!backend.health.status.empty());
        }
      }
      continue;
    }
    ++refused;
    const Faults& faults = std::get<Faults>(result);
    REQUIRE(!faults.empty());
    const auto lines = static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n') + 1);
    for (const Fault& fault : faults) {
      CAPTURE(fault.text());
      REQUIRE(!fault.message.empty());
      REQUIRE(fault.text().find('\n') == std::string::npos);
      REQUIRE(fault.line <= lines);
      REQUIRE((fault.line == 0) == (fault.column == 0));
    }
    REQUIRE(std::is_sorted(faults.begin(), faults.end(), [](const Fault& a, const Fault& b) {
      return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    }));
  }
  CHECK(read > 100);
  CHECK(refused > 1'000);
}

}  // namespace limpet::conf::shipped_files_test
