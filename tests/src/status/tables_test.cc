#include "src/status/tables.h"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/src/status/fake_control.h"

namespace limpet::status::tables_test {

using routing::Event;
using status::Json;

// A line's cells: what two spaces or more are between.
std::vector<std::string> cells(std::string_view line) {
  std::vector<std::string> out;
  while (!line.empty()) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const size_t end = std::min(line.find("  "), line.size());
    if (end > 0) out.emplace_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return out;
}

std::map<std::string, std::string> by_title(std::string_view titles, std::string_view line) {
  const auto names = cells(titles), values = cells(line);
  REQUIRE(names.size() == values.size());
  std::map<std::string, std::string> row;
  for (size_t i = 0; i < names.size(); ++i) row[names[i]] = values[i];
  return row;
}

// The only row of the table, by its columns' titles.
std::map<std::string, std::string> only_row(const std::string& table) {
  const size_t end = table.find('\n');
  return by_title(table.substr(0, end), table.substr(end + 1, table.size() - end - 2));
}

// A line of the status that begins so.
std::string line_of(const status::Report& report, const std::string& beginning) {
  const std::string text = status::status_table(status::to_json(report));
  const size_t at = text.find("\n" + beginning) + 1;
  REQUIRE(at != 0);
  return text.substr(at, text.find('\n', at) - at);
}

std::string lost_words(const routing::Tally& tally) {
  REQUIRE(tally[Event::uncertain] != 0);
  return std::to_string(tally[Event::lost]) + " to " +
         std::to_string(tally[Event::lost] + tally[Event::uncertain]);
}

TEST_CASE("what is certain is told as one number") {
  health::Incident it = test::made_up_report().incidents[2];
  it.books.all[Event::uncertain] = 0;
  const auto row = only_row(status::incidents_table({{"incidents", Json::array({status::to_json(it)})}}));
  CHECK(row.at("LOST") == std::to_string(it[Event::lost]));
}

TEST_CASE("an incident's row has each count under its own title") {
  const health::Incident it = test::made_up_report().incidents[2];
  const auto row = only_row(status::incidents_table({{"incidents", Json::array({status::to_json(it)})}}));
  const auto has = [&](const char* title, uint64_t count) {
    CHECK_MESSAGE(row.at(title) == std::to_string(count), std::string(title));
  };
  has("ID", it.id);
  has("SESSIONS", it.at_risk);
  has("RETURNED", it.at_risk_returned);
  has("JOINED", it.joined);
  CHECK(row.at("LOST") == lost_words(it.books.all));
  has("CARRIED", it[Event::carried]);
  has("RECOVERED", it[Event::recovered]);
  has("ABANDONED", it[Event::abandoned]);
  has("ENDED", it[Event::expired] + it[Event::logged_out]);
  has("OTHERWISE", it[Event::unbound] + it[Event::evicted] + it[Event::moved] + it[Event::reassigned]);
  has("LEFT", it.left);
  has("FAILED", it.requests_failed);
}

TEST_CASE("a backend's row has each count under its own title") {
  const status::Report report = test::made_up_report();
  const status::BackendReport& backend = report.pools[0].backends[2];
  const auto row = by_title(line_of(report, "POOL"), line_of(report, "  app-3 "));
  CHECK(row.at("STATE") == "down");
  CHECK(row.at("SESSIONS") == std::to_string(backend.sessions.live));
  CHECK(row.at("AT RISK") == std::to_string(backend.sessions.live));
  CHECK(row.at("LOST") == lost_words(backend.sessions.books.all));
  CHECK(row.at("FAILED") == std::to_string(backend.requests.failed));
}

TEST_CASE("the status says how many connections were refused, where any were") {
  status::Report report = test::made_up_report();
  report.connections = 7;
  report.refused_connections = 12;
  CHECK(status::status_table(status::to_json(report))
            .find(", 7 connections (12 REFUSED, out of descriptors), ") != std::string::npos);
  report.refused_connections = 0;
  status::Json json = status::to_json(report);
  CHECK(status::status_table(json).find(", 7 connections, ") != std::string::npos);
  report.listeners = {{.name = "main", .address = "*:80", .refused = {1, 2, 3}},
                      {.name = "side", .address = "*:81", .refused = {0, 0, 4}}};
  CHECK(status::status_table(status::to_json(report))
            .find(", 7 connections (10 REFUSED, over a listener's limits: main: connections 1, "
                  "connections_per_client 2, new_connections_per_second 3; side: "
                  "new_connections_per_second 4), ") != std::string::npos);
  report.listeners.pop_back();
  CHECK(status::status_table(status::to_json(report))
            .find(" (6 REFUSED, over a listener's limits: connections 1, ") != std::string::npos);
  report.listeners[0].refused = {};
  report.listeners[0].http2_abuse[static_cast<size_t>(http::H2Abuse::pings)] = 2;
  CHECK(status::status_table(status::to_json(report))
            .find(", 7 connections (2 CUT, for what they did over HTTP/2: pings 2), ") != std::string::npos);
  json.erase("refused_connections");  // of a Limpet that did not count them
  CHECK(status::status_table(json).find(", 7 connections, ") != std::string::npos);
}

TEST_CASE("an incident that goes on says how many of its sessions had returned, and how many joined") {
  status::Report report = test::made_up_report();
  health::Incident& it = report.incidents[0];
  const std::string of = ": of " + std::to_string(it.at_risk) + " sessions (" +
                         std::to_string(it.at_risk_returned) + " returned)";
  const std::string lost = ": " + lost_words(it.books.all) + " lost";
  it.joined = 3;
  CHECK(status::status_table(status::to_json(report)).find(of + " and 3 that joined" + lost) !=
        std::string::npos);
  it.joined = 0;
  CHECK(status::status_table(status::to_json(report)).find(of + lost) != std::string::npos);
}

TEST_CASE("why a backend is in its state says for how long, once there is something to say") {
  status::Report report = test::made_up_report();
  status::BackendReport& backend = report.pools[0].backends[2];
  backend.since = report.now;
  CHECK(line_of(report, "  app-3 ").ends_with("  its checks fail: connection refused"));
  backend.since = report.now - 184;
  CHECK(line_of(report, "  app-3 ").ends_with("  its checks fail: connection refused (for 3 min 4 s)"));
  backend.cause = "start";
  backend.state = routing::BackendState::up;
  backend.warmth = 40;
  CHECK(line_of(report, "  app-3 ").ends_with("  warming up, 40 %"));
}

TEST_CASE("a backend without a free place says so, and how many wait for one") {
  status::Report report = test::made_up_report();
  status::BackendReport& backend = report.pools[0].backends[0];
  const auto full = [&](uint32_t most, uint32_t waiting, uint64_t in_flight) {
    backend.max_connections = most;
    backend.waiting = waiting;
    backend.requests.in_flight = in_flight;
    const std::string line = line_of(report, "  " + backend.name + " ");
    const size_t at = line.find("full: ");
    return at == line.npos ? "" : line.substr(at);
  };
  CHECK(full(8, 12, 20) == "full: 8 of 8, 12 wait");
  CHECK(full(8, 1, 9) == "full: 8 of 8, 1 waits");
  CHECK(full(8, 0, 8) == "full: 8 of 8");
  CHECK(full(8, 0, 7).empty());
  CHECK(full(0, 0, 7).empty());
  CHECK(full(4, 2, 10) == "full: 8 of 4, 2 wait");  // the limit was lowered
  CHECK(full(8, 3, 2) == "full: 8 of 8, 3 wait");   // counted at two moments
}

TEST_CASE("a pool's row says what is refused for a limit, and whether it sheds") {
  status::Report report = test::made_up_report();
  status::PoolReport& pool = report.pools[0];
  const auto row = [&] { return line_of(report, pool.name + " "); };
  uint64_t& shed = pool.decisions[static_cast<size_t>(routing::Reason::shed)];
  shed = 2;
  pool.rate_limited = 1;
  pool.queue_timeouts = 3;
  CHECK(row().ends_with("  REFUSES NEW SESSIONS (shed); refused: rate limit 1, shed 2, queue timeout 3"));
  pool.sheds = false;
  shed = 0;
  CHECK(row().ends_with("  refused: rate limit 1, queue timeout 3"));
  pool.rate_limited = pool.queue_timeouts = 0;
  CHECK(row().find("efuse") == std::string::npos);
  Json older = status::to_json(report);
  for (const char* key : {"queue", "rate_limited", "sheds"}) older["pools"][0].erase(key);
  CHECK(status::status_table(older) == status::status_table(status::to_json(report)));
}

TEST_CASE("a drain says when what is left is cut, where anything is") {
  status::Report report = test::made_up_report();
  status::BackendReport& backend = report.pools[0].backends[1];
  backend.since = report.now - 5;
  status::DrainReport& drain = *backend.drain;
  drain.forecast.polling = 0;
  const std::string why = "  ordered by alice from 127.0.0.1 (for 5 s); ";
  CHECK(line_of(report, "  app-2 ")
            .ends_with(why + "184 sessions left, 90 % gone in 14 min, cut in 16 min 40 s"));
  drain.deadline = report.now;
  CHECK(line_of(report, "  app-2 ").ends_with(", cut now"));
  drain.forecast.sessions = 0;
  CHECK(line_of(report, "  app-2 ").ends_with(why + "no sessions left"));
}

TEST_CASE("a drain that may have unknown sessions says so, and its progress does not look done") {
  status::Report report = test::made_up_report();
  status::BackendReport& backend = report.pools[0].backends[1];
  status::DrainReport& drain = *backend.drain;
  drain.began_with = 0;
  drain.forecast.sessions = 0;
  drain.unknown = health::Unknown{.served_for = 60'000, .idle_timeout = 1'800'000, .left = 1'740'000};
  const std::string says = "no sessions left; Limpet may not know all of its sessions for 29 min yet";
  CHECK(line_of(report, "  app-2 ").ends_with("; " + says));
  CHECK(drain_line(to_json(backend), report.now, SIZE_MAX) == "[........................] " + says);
  drain.unknown.reset();
  CHECK(drain_line(to_json(backend), report.now, SIZE_MAX) == "[########################] no sessions left");
}

// Of all that differ from `said` in one text.
template <class Words>
void check_no_escapes(const Json& said, Words&& words) {
  const Json leaves = said.flatten();
  for (const auto& [where, value] : leaves.items()) {
    if (!value.is_string()) continue;
    Json other = said;
    other[Json::json_pointer(where)] = value.template get<std::string>() + "\x1b[2J";
    CHECK_MESSAGE(words(other).find('\x1b') == std::string::npos, where);
  }
}

TEST_CASE("whatever a server says moves no terminal's cursor") {
  const status::Report report = test::made_up_report();
  check_no_escapes(to_json(report), status_table);
  check_no_escapes({{"incidents", to_json(report.incidents)}}, incidents_table);
  const Json session = {{"pool", "shop"},  {"backend", "app-1"}, {"backend_state", "up"}, {"why", "bound"},
                        {"first_seen", 1}, {"last_seen", 2},     {"returned", true},      {"polls", true}};
  check_no_escapes({{"sessions", {session}}}, [](const Json& found) { return session_lines(found, 3); });
  const Json draining = to_json(report.pools[0].backends[1]);
  for (const auto line : {drain_line, waiting_line})
    check_no_escapes(draining, [&](const Json& backend) { return line(backend, report.now, SIZE_MAX); });
}

}  // namespace limpet::status::tables_test
