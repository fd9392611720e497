#include "src/status/metrics.h"

#include <doctest/doctest.h>

#include "tests/src/status/exposition_check.h"
#include "tests/src/status/fake_control.h"

namespace limpet::status::metrics_test {

using test::LabelSet;

struct Read {
  explicit Read(const status::Report& report = test::made_up_report())
      : text(status::metrics(report)), check(text) {
    REQUIRE(check.fault == "");
  }
  double operator()(const std::string& name, const LabelSet& labels = {}, const std::string& sample = "") {
    const auto family = check.families.find(name);
    REQUIRE_MESSAGE(family != check.families.end(), name);
    const auto value = family->second.value(labels, sample);
    REQUIRE_MESSAGE(value, name);
    return *value;
  }

  std::string text;
  test::ExpositionCheck check;
};

TEST_CASE("the checker refuses what is not the format") {
  const std::string head = "# HELP a_total Counts.\n# TYPE a_total counter\n";
  CHECK(test::ExpositionCheck(head + "a_total{x=\"1\"} 2\n").fault == "");
  for (const char* bad :
       {"a_total{x=\"1\"} 2", "a_total{x=\"1\"}  2\n", "a_total{x=1} 2\n", "a_total{x=\"1\",x=\"2\"} 2\n",
        "b_total 2\n", "a_total{x=\"\\t\"} 2\n", "a_total{x=\"\"\"} 2\n", "a_total 2 \n", "a_total two\n",
        "\n", "# a comment\n", "a_total 1\na_total 2\n", "a_total -1\n", "a_total{1x=\"\"} 1\n",
        "a_total{x=\"1\",} 2\n"}) {
    CHECK_MESSAGE(test::ExpositionCheck(head + bad).fault != "", std::string(bad));
  }
  const std::string histogram = "# HELP h Counts.\n# TYPE h histogram\n";
  CHECK(
      test::ExpositionCheck(histogram + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n")
          .fault == "");
  for (const char* bad :
       {"h_bucket{le=\"1\"} 1\nh_sum 3\nh_count 1\n",
        "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
        "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
        "h_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 3\n", "h_bucket{le=\"+Inf\"} 2\nh_count 2\n", "h 1\n"}) {
    CHECK_MESSAGE(test::ExpositionCheck(histogram + bad).fault != "", std::string(bad));
  }
}

TEST_CASE("the metrics are well-formed, of a whole report and of an empty one") {
  CHECK(Read().check.families.size() > 40);
  CHECK(Read(status::Report{}).check.families.size() > 40);
}

TEST_CASE("connections from clients that are open, and those that were refused, are told apart") {
  const status::Report report = test::made_up_report();
  Read read(report);
  CHECK(read("limpet_client_connections") == static_cast<double>(report.connections));
  CHECK(read("limpet_client_connections_refused_total") == static_cast<double>(report.refused_connections));
}

TEST_CASE("what was refused for a limit of clients has its count under the limit's name") {
  status::Report report = test::made_up_report();
  report.listeners = {{.name = "main", .address = "*:80", .refused = {7, 8, 9}}};
  Read read(report);
  const auto refused = [&](const char* limit) {
    return read("limpet_listener_connections_refused_total", {{"listener", "main"}, {"limit", limit}});
  };
  CHECK(refused("connections") == 7);
  CHECK(refused("connections_per_client") == 8);
  CHECK(refused("new_connections_per_second") == 9);
  CHECK(read("limpet_pool_requests_refused_total", {{"pool", "shop"}, {"limit", "rate"}}) ==
        static_cast<double>(report.pools[0].rate_limited));
  CHECK(read("limpet_pool_sheds", {{"pool", "shop"}}) == 1);
  CHECK(read("limpet_pool_sheds", {{"pool", report.pools[1].name}}) == 0);
}

TEST_CASE("labels bring names back as they are, whatever they hold") {
  Read read;
  CHECK(read("limpet_backend_weight", {{"pool", "caf\xc3\xa9/1"}, {"backend", "a\"b\\c\nd"}}) > 0);
}

TEST_CASE("sessions are split by state and return, and add up") {
  const status::Report report = test::made_up_report();
  Read read(report);
  const routing::Census& shop = report.pools[0].sessions;
  double live = 0;
  for (const char* state : {"active", "at_risk"}) {
    for (const char* returned : {"yes", "no"})
      live += read("limpet_pool_sessions", {{"pool", "shop"}, {"state", state}, {"returned", returned}});
  }
  CHECK(live == static_cast<double>(shop.live));
  CHECK(read("limpet_pool_sessions", {{"pool", "shop"}, {"state", "at_risk"}, {"returned", "yes"}}) ==
        static_cast<double>(shop.at_risk_returned));
  const LabelSet down = {{"pool", "shop"}, {"backend", "app-3"}, {"state", "at_risk"}, {"returned", "yes"}};
  CHECK(read("limpet_backend_sessions", down) ==
        static_cast<double>(report.pools[0].backends[2].sessions.live_returned));
}

TEST_CASE("what became of sessions is counted by event, of a pool and of a backend") {
  const status::Report report = test::made_up_report();
  Read read(report);
  const auto of = [&](const std::string& name, LabelSet labels, const char* event) {
    double both = 0;
    labels["event"] = event;
    for (const char* returned : {"yes", "no"}) {
      labels["returned"] = returned;
      both += read(name, labels);
    }
    return both;
  };
  for (size_t i = 0; i < routing::kEvents; ++i) {
    const auto event = static_cast<routing::Event>(i);
    CHECK(of("limpet_pool_session_events_total", {{"pool", "shop"}}, routing::text(event)) ==
          static_cast<double>(report.pools[0].sessions.books.all[event]));
    CHECK(of("limpet_backend_session_events_total", {{"pool", "shop"}, {"backend", "app-2"}},
             routing::text(event)) ==
          static_cast<double>(report.pools[0].backends[1].sessions.books.all[event]));
  }
}

TEST_CASE("a backend is in exactly one state") {
  Read read;
  const LabelSet app_3 = {{"pool", "shop"}, {"backend", "app-3"}};
  double states = 0;
  for (const char* state : {"up", "draining", "down", "maintenance"}) {
    LabelSet labels = app_3;
    labels["state"] = state;
    states += read("limpet_backend_state", labels);
    CHECK(read("limpet_backend_state", labels) == (std::string(state) == "down" ? 1 : 0));
  }
  CHECK(states == 1);
}

TEST_CASE("latency is in seconds, in buckets that add up to all") {
  const status::Report report = test::made_up_report();
  Read read(report);
  const status::HistogramReport& latency = report.pools[0].backends[0].requests.latency;
  const LabelSet app_1 = {{"pool", "shop"}, {"backend", "app-1"}};
  const std::string name = "limpet_backend_request_duration_seconds";
  CHECK(read(name, app_1, name + "_count") == static_cast<double>(latency.count()));
  CHECK(read(name, app_1, name + "_sum") == doctest::Approx(static_cast<double>(latency.sum_us) / 1e6));
  LabelSet bucket = app_1;
  bucket["le"] = "6.4e-05";
  CHECK(read(name, bucket) == static_cast<double>(latency.counts[0]));
  bucket["le"] = "0.000128";
  CHECK(read(name, bucket) == static_cast<double>(latency.counts[0] + latency.counts[1]));
}

TEST_CASE("losses are told by the incident's kind and cause") {
  const status::Report report = test::made_up_report();
  Read read(report);
  for (const health::Losses& losses : report.losses) {
    LabelSet labels = {
        {"pool", "shop"}, {"kind", health::text(losses.kind)}, {"cause", health::text(losses.cause)}};
    labels["returned"] = "yes";
    CHECK(read("limpet_pool_session_losses_total", labels) == static_cast<double>(losses.lost_returned));
    labels["returned"] = "no";
    CHECK(read("limpet_pool_session_losses_total", labels) ==
          static_cast<double>(losses.lost - losses.lost_returned));
  }
  CHECK(read.check.families["limpet_pool_session_losses_total"].samples.size() == 4);
}

TEST_CASE("a drain is told while there is one") {
  Read read;
  const LabelSet app_2 = {{"pool", "shop"}, {"backend", "app-2"}};
  CHECK(read("limpet_backend_drain_began_with_sessions", app_2) == 2000);
  CHECK(read("limpet_backend_drain_deadline_time_seconds", app_2) == 1'700'002'000);
  LabelSet percent = app_2;
  percent["gone_percent"] = "90";
  CHECK(read("limpet_backend_drain_forecast_seconds", percent) == 840);
  CHECK(read.check.families["limpet_backend_drain_forecast_seconds"].samples.size() == 2);
  CHECK(read.check.families["limpet_backend_drain_began_with_sessions"].samples.size() == 1);
}

}  // namespace limpet::status::metrics_test
