#include "src/status/json.h"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/src/status/fake_control.h"

namespace limpet::status::json_test {

using nlohmann::json;

json plain(const status::Json& ordered) { return json::parse(status::written(ordered)); }

TEST_CASE("sessions that live are active or at risk, of all and of those that returned") {
  const status::Report report = test::made_up_report();
  const json pool = plain(to_json(report.pools[0]));
  for (const json& part : {pool["sessions"], pool["sessions"]["returned"]})
    CHECK(part["live"].get<uint64_t>() == part["active"].get<uint64_t>() + part["at_risk"].get<uint64_t>());
  CHECK(pool["sessions"]["at_risk"] == report.pools[0].sessions.at_risk);
  for (size_t i = 0; i < pool["backends"].size(); ++i) {
    const json& sessions = pool["backends"][i]["sessions"];
    const routing::AtRisk& at_risk = report.pools[0].backends[i].sessions.at_risk;
    CHECK(sessions["at_risk"] == at_risk.live);
    CHECK(sessions["returned"]["at_risk"] == at_risk.returned);
    for (const json& part : {sessions, sessions["returned"]})
      CHECK(part["live"].get<uint64_t>() == part["active"].get<uint64_t>() + part["at_risk"].get<uint64_t>());
  }
}

TEST_CASE("connections from clients that are open, and those that were refused, are told apart") {
  const status::Report report = test::made_up_report();
  const json shown = plain(to_json(report));
  CHECK(shown["connections"] == report.connections);
  CHECK(shown["refused_connections"] == report.refused_connections);
}

TEST_CASE("what was refused for a limit of clients has its count under the limit's name") {
  const json listener =
      plain(to_json(status::ListenerReport{.name = "main", .address = "*:80", .refused = {7, 8, 9}}));
  CHECK(listener["refused"] ==
        json{{"connections", 7}, {"connections_per_client", 8}, {"new_connections_per_second", 9}});
  const status::Report report = test::made_up_report();
  CHECK(plain(to_json(report.pools[0]))["rate_limited"] == report.pools[0].rate_limited);
  CHECK(plain(to_json(report.pools[0]))["sheds"] == true);
  CHECK(plain(to_json(report.pools[1]))["sheds"] == false);
}

TEST_CASE("every event of the ledger has its count under its name") {
  const status::Report report = test::made_up_report();
  const json pool = plain(to_json(report.pools[0]));
  REQUIRE(pool["sessions"]["totals"].size() == routing::kEvents);
  for (size_t i = 0; i < routing::kEvents; ++i) {
    const auto event = static_cast<routing::Event>(i);
    CHECK(pool["sessions"]["totals"][routing::text(event)] == report.pools[0].sessions.books.all[event]);
    CHECK(pool["sessions"]["returned"]["totals"][routing::text(event)] ==
          report.pools[0].sessions.books.returned[event]);
    CHECK(pool["backends"][1]["sessions"]["totals"][routing::text(event)] ==
          report.pools[0].backends[1].sessions.books.all[event]);
  }
}

TEST_CASE("every routing decision and every way to fail has its count under its name") {
  const status::PoolReport pool = test::made_up_report().pools[0];
  const json shown = plain(to_json(pool));
  CHECK(shown["decisions"].size() == pool.decisions.size());
  CHECK_FALSE(shown["decisions"].contains(""));
  CHECK(shown["decisions"]["failed_over"] ==
        pool.decisions[static_cast<size_t>(routing::Reason::failed_over)]);
  CHECK(shown["decisions"]["no_backend"] == pool.decisions[static_cast<size_t>(routing::Reason::no_backend)]);
  const json& failures = shown["backends"][0]["requests"]["failures"];
  CHECK(failures.size() == proxy::kBackendFailures);
  CHECK(failures["timeout"] ==
        pool.backends[0].requests.failures[static_cast<size_t>(proxy::BackendFailure::timeout)]);
}

TEST_CASE("a pool's requests are a count of their own, for backends that are gone took part in it") {
  const status::PoolReport pool = test::made_up_report().pools[0];
  const json shown = plain(to_json(pool));
  CHECK(shown["requests"]["answered"] == pool.requests.answered());
  CHECK(shown["requests"]["failed"] == pool.requests.failed);
  CHECK(shown["backends"][0]["requests"]["answered"] == pool.backends[0].requests.answered());
}

TEST_CASE("a drain is told with its forecast, and where nothing is known nothing is claimed") {
  status::BackendReport backend = test::made_up_report().pools[0].backends[1];
  json drain = plain(to_json(backend))["drain"];
  CHECK(drain["began_with"] == 2000);
  CHECK(drain["left"] == 184);
  CHECK(drain["polling"] == 12);
  CHECK(drain["forecast"]["gone_90_s"] == 840);
  CHECK(drain["forecast"]["gone_99_s"] == nullptr);
  CHECK(drain["forecast"]["text"] == health::text(backend.drain->forecast));
  backend.drain->forecast.is_known = false;
  drain = plain(to_json(backend))["drain"];
  CHECK(drain["forecast"]["known"] == false);
  CHECK(drain["forecast"]["gone_50_s"] == nullptr);
  CHECK(drain["forecast"]["left_at_deadline"] == nullptr);
  CHECK(drain["unknown"] == nullptr);
  backend.drain->unknown =
      health::Unknown{.served_for = 120'400, .idle_timeout = 1'800'000, .left = 1'679'600};
  drain = plain(to_json(backend))["drain"];
  CHECK(drain["unknown"]["served_s"] == 120);
  CHECK(drain["unknown"]["idle_timeout_s"] == 1800);
  CHECK(drain["unknown"]["known_in_s"] == 1680);
  CHECK(drain["unknown"]["text"] == health::text(*backend.drain->unknown));
  backend.drain.reset();
  CHECK(plain(to_json(backend))["drain"] == nullptr);
}

TEST_CASE("an incident that is open has no time of closing") {
  const status::Report report = test::made_up_report();
  CHECK(plain(status::to_json(report.incidents[0]))["closed"] == nullptr);
  const json closed = plain(status::to_json(report.incidents[2]));
  CHECK(closed["closed"] == report.incidents[2].closed);
  CHECK(closed["kind"] == "maintenance");
  CHECK(closed["lost"] == report.incidents[2].books.all[routing::Event::lost]);
  CHECK(closed["lost_at_most"] == report.incidents[2].books.all[routing::Event::lost] +
                                      report.incidents[2].books.all[routing::Event::uncertain]);
  CHECK(closed["returned"]["lost"] == report.incidents[2].books.returned[routing::Event::lost]);
  CHECK(closed["returned"]["at_risk"] == report.incidents[2].at_risk_returned);
}

TEST_CASE("a chart's columns are of one length, with the values of their samples") {
  const status::PoolReport pool = test::made_up_report().pools[0];
  const json history = plain(to_json(pool))["history"];
  CHECK(history["interval_s"] == status::kSampleSeconds);
  CHECK(history["window_s"] == status::kSampleSeconds * status::kSamples);
  CHECK(history.size() == 13);
  for (const auto& column : history.items()) {
    if (column.key() != "interval_s" && column.key() != "window_s")
      CHECK_MESSAGE(column.value().size() == pool.history.size(), column.key());
  }
  CHECK(history["lost"][1] == pool.history[1].lost);
  CHECK(history["uncertain"][1] == pool.history[1].uncertain);
  CHECK(history["p99_us"][2] == pool.history[2].p99_us);
}

TEST_CASE("what is no UTF-8 does not break the report") {
  status::BackendReport backend;
  backend.detail = "\xff\xfe\x80 broken";
  CHECK(plain(to_json(backend))["detail"].get<std::string>().ends_with(" broken"));
}

TEST_CASE("the load's imbalance is the most over the mean, by weight, of those that take new sessions") {
  status::PoolReport pool;
  const auto add = [&](uint64_t live, uint32_t weight, routing::BackendState state) {
    status::BackendReport backend;
    backend.sessions.live = live;
    backend.weight = weight;
    backend.state = state;
    pool.backends.push_back(backend);
  };
  CHECK(pool.imbalance() == 0);
  add(30, 100, routing::BackendState::up);
  add(10, 100, routing::BackendState::up);
  CHECK(pool.imbalance() == doctest::Approx(1.5));
  add(9000, 100, routing::BackendState::draining);
  add(9000, 100, routing::BackendState::down);
  add(9000, 0, routing::BackendState::up);
  CHECK(pool.imbalance() == doctest::Approx(1.5));
  pool.backends[0].weight = 300;
  CHECK(pool.imbalance() == doctest::Approx(1));
}

TEST_CASE("a quantile lies in the bucket where that share of the counts is reached") {
  status::HistogramReport histogram;
  CHECK(histogram.quantile_us(0.99) == 0);
  histogram.counts[0] = 90;  // up to 64 us
  histogram.counts[4] = 10;  // 512 to 1024 us
  CHECK(histogram.quantile_us(0.5) == doctest::Approx(64 * 50.0 / 90));
  CHECK(histogram.quantile_us(0.9) == doctest::Approx(64));
  CHECK(histogram.quantile_us(0.95) == doctest::Approx(768));
  CHECK(histogram.quantile_us(1) == doctest::Approx(1024));
  histogram.counts.back() = 1'000'000;  // no upper bound
  CHECK(histogram.quantile_us(0.99) == proxy::Histogram::bound_us(proxy::Histogram::kBuckets - 2));
}

TEST_CASE("why a backend is in its state is said in words") {
  const status::Report report = test::made_up_report();
  const auto& shop = report.pools[0].backends;
  CHECK(shop[0].why() == "");
  CHECK(shop[1].why() == "ordered by alice from 127.0.0.1");
  CHECK(shop[2].why() == "its checks fail: connection refused");
  CHECK(shop[3].why() == "ordered by bob from 10.1.1.1");
  status::BackendReport backend = shop[1];
  backend.state = routing::BackendState::maintenance;
  backend.cause = "drained";
  CHECK(backend.why() == "drained; ordered by alice from 127.0.0.1");
  backend.listed = false;
  backend.detail = "";
  CHECK(backend.why() == "drained; the file does not name it any more");
  backend.cause = "drain_timeout";
  CHECK(backend.why().starts_with("its drain was cut by drain_timeout"));
  backend = shop[0];
  backend.cause = "checks";
  CHECK(backend.why() == "its checks pass");
  backend.detail = "HEAD / is answered again";  // no checks are configured
  CHECK(backend.why() == backend.detail);
  backend.doubt = "held: HEAD / passes, requests of 6 clients failed within 10s (no answer in time)";
  CHECK(backend.why() == backend.doubt);
}

}  // namespace limpet::status::json_test
