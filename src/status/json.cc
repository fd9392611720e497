#include "src/status/json.h"

#include <nlohmann/json.hpp>

namespace limpet::status {

namespace {

using routing::Event;

Json totals(const routing::Tally& tally) {
  Json out = Json::object();
  for (size_t i = 0; i < routing::kEvents; ++i) out[routing::text(static_cast<Event>(i))] = tally.counts[i];
  return out;
}

uint64_t lost_at_most(const routing::Tally& tally) { return tally[Event::lost] + tally[Event::uncertain]; }

Json sessions(const routing::Census& census, uint64_t most) {
  return {{"live", census.live},
          {"active", census.live - census.at_risk},
          {"at_risk", census.at_risk},
          {"max", most},
          {"lost_at_most", lost_at_most(census.books.all)},
          {"totals", totals(census.books.all)},
          {"returned",
           {{"live", census.live_returned},
            {"active", census.live_returned - census.at_risk_returned},
            {"at_risk", census.at_risk_returned},
            {"lost_at_most", lost_at_most(census.books.returned)},
            {"totals", totals(census.books.returned)}}}};
}

Json sessions(const routing::HomeCensus& census, uint64_t most) {
  const uint64_t at_risk = std::min(census.at_risk.live, census.live);
  const uint64_t at_risk_returned = std::min(census.at_risk.returned, census.live_returned);
  return {{"live", census.live},
          {"active", census.live - at_risk},
          {"at_risk", at_risk},
          {"max", most},
          {"arrived", census.arrived},
          {"lost_at_most", lost_at_most(census.books.all)},
          {"totals", totals(census.books.all)},
          {"returned",
           {{"live", census.live_returned},
            {"active", census.live_returned - at_risk_returned},
            {"at_risk", at_risk_returned},
            {"lost_at_most", lost_at_most(census.books.returned)},
            {"totals", totals(census.books.returned)}}}};
}

double milliseconds(double us) { return us / 1000; }

Json latency(const HistogramReport& histogram) {
  const uint64_t count = histogram.count();
  const double mean = count == 0 ? 0 : static_cast<double>(histogram.sum_us) / static_cast<double>(count);
  return {{"count", count},
          {"mean_ms", milliseconds(mean)},
          {"p50_ms", milliseconds(histogram.quantile_us(0.5))},
          {"p90_ms", milliseconds(histogram.quantile_us(0.9))},
          {"p99_ms", milliseconds(histogram.quantile_us(0.99))}};
}

Json requests(const RequestReport& report) {
  Json failures = Json::object();
  for (size_t i = 0; i < report.failures.size(); ++i)
    failures[text(static_cast<proxy::BackendFailure>(i))] = report.failures[i];
  return {{"answered", report.answered()},
          {"answers",
           {{"1xx", report.answers[1]},
            {"2xx", report.answers[2]},
            {"3xx", report.answers[3]},
            {"4xx", report.answers[4]},
            {"5xx", report.answers[5]}}},
          {"unanswered", report.answers[0]},
          {"failed", report.failed},
          {"retried", report.retried},
          {"strays", report.strays},
          {"failures", std::move(failures)},
          {"in_flight", report.in_flight},
          {"bytes_in", report.bytes_in},
          {"bytes_out", report.bytes_out},
          {"latency", latency(report.latency)}};
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json unknown(const std::optional<health::Unknown>& sessions) {
  if (!sessions) return nullptr;
  return {{"text", health::text(*sessions)},
          {"served_s", sessions->served_for / 1000},
          {"idle_timeout_s", sessions->idle_timeout / 1000},
          {"known_in_s", (sessions->left + 999) / 1000}};
}

Json drain(const DrainReport& report) {
  const health::Forecast& forecast = report.forecast;
  Json foreseen = {{"text", health::text(forecast)}, {"known", forecast.is_known},
                   {"ends_seen", forecast.ends},     {"ends_needed", health::Forecast::kLeastEnds},
                   {"gone_50_s", nullptr},           {"gone_90_s", nullptr},
                   {"gone_99_s", nullptr},           {"left_at_deadline", nullptr}};
  if (forecast.is_known) {
    foreseen["gone_50_s"] = or_null(forecast.gone_50);
    foreseen["gone_90_s"] = or_null(forecast.gone_90);
    foreseen["gone_99_s"] = or_null(forecast.gone_99);
    foreseen["left_at_deadline"] = forecast.left_at_deadline;
  }
  return {{"began_with", report.began_with},    {"left", forecast.sessions},
          {"polling", forecast.polling},        {"deadline", report.deadline},
          {"unknown", unknown(report.unknown)}, {"forecast", std::move(foreseen)}};
}

// Columns: a quarter of the bytes that an object for each point would take.
Json history(const std::vector<Sample>& samples) {
  Json out = {{"interval_s", kSampleSeconds}, {"window_s", kSampleSeconds * kSamples}};
  const auto column = [&](const char* name, auto member) {
    Json& values = out[name] = Json::array();
    for (const Sample& sample : samples) values.push_back(sample.*member);
  };
  column("at", &Sample::at);
  column("live", &Sample::live);
  column("at_risk", &Sample::at_risk);
  column("begun", &Sample::begun);
  column("ended", &Sample::ended);
  column("lost", &Sample::lost);
  column("uncertain", &Sample::uncertain);
  column("requests", &Sample::requests);
  column("failed", &Sample::failed);
  column("p50_us", &Sample::p50_us);
  column("p99_us", &Sample::p99_us);
  return out;
}

// What became of an incident's sessions.
Json outcome(const routing::Tally& tally) {
  using enum Event;
  return {{"lost", tally[lost]},
          {"confirmed", tally[confirmed]},
          {"restarted", tally[restarted]},
          {"lost_at_most", lost_at_most(tally)},
          {"carried", tally[carried]},
          {"recovered", tally[recovered]},
          {"abandoned", tally[abandoned]},
          {"expired", tally[expired]},
          {"logged_out", tally[logged_out]},
          {"unbound", tally[unbound]},
          {"evicted", tally[evicted]},
          {"moved", tally[moved]},
          {"reassigned", tally[reassigned]},
          {"ended_by_themselves", health::ended_by_themselves(tally)},
          {"gone_otherwise", health::gone_otherwise(tally)}};
}

template <class T>
Json list(const std::vector<T>& items) {
  Json out = Json::array();
  for (const T& item : items) out.push_back(to_json(item));
  return out;
}

}  // namespace

Json to_json(const BackendReport& backend) {
  Json out = {{"name", backend.name},
              {"address", backend.address},
              {"listed", backend.listed},
              {"state", routing::text(backend.state)},
              {"why", backend.why()},
              {"cause", backend.cause},
              {"detail", backend.detail},
              {"since", backend.since},
              {"held", backend.held},
              {"doubt", backend.doubt},
              {"weight", backend.weight},
              {"warmth_percent", backend.warmth},
              {"sessions", sessions(backend.sessions, backend.max_sessions)},
              {"requests", requests(backend.requests)},
              {"max_connections", backend.max_connections},
              {"waiting", backend.waiting},
              {"drain", nullptr},
              {"last_check", nullptr}};
  if (backend.drain) out["drain"] = drain(*backend.drain);
  if (backend.last_check) {
    const CheckReport& check = *backend.last_check;
    out["last_check"] = {{"passed", check.passed},
                         {"detail", check.detail},
                         {"at", check.at},
                         {"took_ms", milliseconds(static_cast<double>(check.microseconds))}};
  }
  return out;
}

Json to_json(const CertificateReport& certificate) {
  return {{"file", certificate.file},
          {"names", certificate.names},
          {"not_before", certificate.not_before},
          {"not_after", certificate.not_after},
          {"wrong", certificate.wrong}};
}

Json to_json(const TlsFilesReport& files) {
  Json authorities;
  if (files.authorities)
    authorities = {{"file", files.authorities->file}, {"wrong", files.authorities->wrong}};
  return {{"certificates", list(files.certificates)}, {"authorities", std::move(authorities)}};
}

Json to_json(const TlsReport& tls) {
  Json handshakes = Json::object();
  for (size_t i = 0; i < tls.handshakes.size(); ++i)
    handshakes[text(static_cast<proxy::HandshakeEnd>(i))] = tls.handshakes[i];
  Json out = to_json(tls.files);
  out["handshakes"] = std::move(handshakes);
  return out;
}

Json to_json(const PoolReport& pool) {
  Json decisions = Json::object();
  for (size_t i = 0; i < pool.decisions.size(); ++i)
    decisions[routing::text(static_cast<routing::Reason>(i))] = pool.decisions[i];
  return {{"name", pool.name},
          {"listed", pool.listed},
          {"affinity", pool.affinity},
          {"storage", pool.storage},
          {"placement", pool.placement},
          {"failover", pool.failover},
          {"failback", pool.failback},
          {"sessions", sessions(pool.sessions, pool.max_sessions)},
          {"books_imbalance", pool.sessions.imbalance},
          {"load_imbalance", pool.imbalance()},
          {"table", {{"entries", pool.sessions.entries}, {"bytes", pool.sessions.bytes}}},
          {"unverified_tokens", pool.unverified_tokens},
          {"guesses_missed", pool.guesses_missed},
          {"requests", requests(pool.requests)},
          {"decisions", std::move(decisions)},
          {"decision_latency", latency(pool.decision_latency)},
          {"queue", {{"time", latency(pool.queue_time)}, {"timeouts", pool.queue_timeouts}}},
          {"rate_limited", pool.rate_limited},
          {"sheds", pool.sheds},
          {"tls", pool.tls ? to_json(*pool.tls) : Json()},
          {"backends", list(pool.backends)},
          {"history", history(pool.history)}};
}

Json to_json(const ListenerReport& listener) {
  Json refused = Json::object();
  for (size_t i = 0; i < listener.refused.size(); ++i)
    refused[text(static_cast<proxy::ConnectionLimit>(i))] = listener.refused[i];
  Json http2_abuse = Json::object();
  for (size_t i = 0; i < listener.http2_abuse.size(); ++i)
    http2_abuse[text(static_cast<http::H2Abuse>(i))] = listener.http2_abuse[i];
  return {{"name", listener.name},
          {"address", listener.address},
          {"listed", listener.listed},
          {"connections", listener.connections},
          {"refused", std::move(refused)},
          {"http2_abuse", std::move(http2_abuse)},
          {"tls", listener.tls ? to_json(*listener.tls) : Json()}};
}

Json to_json(const health::Incident& incident) {
  Json out = {{"id", incident.id},
              {"pool", incident.pool},
              {"backend", incident.backend},
              {"kind", health::text(incident.kind)},
              {"cause", health::text(incident.cause)},
              {"detail", incident.detail},
              {"opened", incident.opened},
              {"back", nullptr},
              {"closed", nullptr},
              {"end", health::text(incident.end)},
              {"at_risk", incident.at_risk},
              {"joined", incident.joined}};
  if (incident.back != 0) out["back"] = incident.back;
  if (incident.closed != 0) out["closed"] = incident.closed;
  out.update(outcome(incident.books.all));
  out["left"] = incident.left;
  out["returned"] = {{"at_risk", incident.at_risk_returned}};
  out["returned"].update(outcome(incident.books.returned));
  out["requests_failed"] = incident.requests_failed;
  out["requests_retried"] = incident.requests_retried;
  return out;
}

Json to_json(const SessionReport& session) {
  return {{"pool", session.pool},
          {"backend", session.backend},
          {"backend_state", routing::text(session.state)},
          {"why", session.why},
          {"first_seen", session.first_seen},
          {"last_seen", session.last_seen},
          {"returned", session.returned},
          {"polls", session.polls}};
}

Json to_json(const std::vector<health::Incident>& incidents) { return list(incidents); }

Json to_json(const Report& report) {
  return {{"version", kVersion},
          {"limpet", report.version},
          {"now", report.now},
          {"started", report.started},
          {"loaded", report.loaded},
          {"file", report.file},
          {"shutting_down", report.shutting_down},
          {"workers", report.workers},
          {"connections", report.connections},
          {"refused_connections", report.refused_connections},
          {"descriptors",
           {{"max", report.descriptors},
            {"for_clients", report.descriptors_for_clients},
            {"for_backends", report.descriptors_for_backends}}},
          {"reloads", {{"done", report.reloads}, {"refused", report.failed_reloads}}},
          {"dropped_log_lines", report.dropped_log_lines},
          {"dropped_stderr_lines", report.dropped_stderr_lines},
          {"status_tls", report.status_tls ? to_json(*report.status_tls) : Json()},
          {"listeners", list(report.listeners)},
          {"pools", list(report.pools)},
          {"incidents", list(report.incidents)},
          {"kept_incidents", report.kept_incidents},
          {"open_incidents", report.open_incidents}};
}

std::string written(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace limpet::status
