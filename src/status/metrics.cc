#include "src/status/metrics.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_set>

#include "src/status/exposition.h"

namespace limpet::status {

namespace {

using Labels = Exposition::Labels;
using routing::Event;

// Beside its name, what every count of sessions is split by: whether their clients had come back.
constexpr const char* kReturned[] = {"no", "yes"};

template <class Visit>
void each_pool(const Report& report, Visit&& visit) {
  for (const PoolReport& pool : report.pools) visit(pool, Labels{{"pool", pool.name}});
}

template <class Visit>
void each_backend(const Report& report, Visit&& visit) {
  for (const PoolReport& pool : report.pools) {
    for (const BackendReport& backend : pool.backends)
      visit(backend, Labels{{"pool", pool.name}, {"backend", backend.name}});
  }
}

Labels operator+(Labels labels, const Labels& more) {
  labels.insert(labels.end(), more.begin(), more.end());
  return labels;
}

// Each pair of samples adds up to all.
void split_by_return(Exposition& out, const Labels& labels, uint64_t all, uint64_t returned) {
  out.sample(labels + Labels{{"returned", kReturned[0]}}, all - returned);
  out.sample(labels + Labels{{"returned", kReturned[1]}}, returned);
}

void live_sessions(Exposition& out, const Labels& labels, uint64_t live, uint64_t live_returned,
                   uint64_t at_risk, uint64_t at_risk_returned) {
  split_by_return(out, labels + Labels{{"state", "active"}}, live - at_risk,
                  live_returned - at_risk_returned);
  split_by_return(out, labels + Labels{{"state", "at_risk"}}, at_risk, at_risk_returned);
}

void session_events(Exposition& out, const Labels& labels, const routing::Books& books) {
  for (size_t i = 0; i < routing::kEvents; ++i) {
    const auto event = static_cast<Event>(i);
    split_by_return(out, labels + Labels{{"event", routing::text(event)}}, books.all[event],
                    books.returned[event]);
  }
}

void process(Exposition& out, const Report& report) {
  out.gauge("limpet_info", "Which Limpet this is.");
  out.sample({{"version", report.version}}, uint64_t{1});
  out.gauge("limpet_start_time_seconds", "When this process began to serve, in Unix time.");
  out.sample({}, report.started);
  out.gauge("limpet_config_loaded_time_seconds", "When the settings in force were loaded, in Unix time.");
  out.sample({}, report.loaded);
  out.counter("limpet_config_reloads_total", "Reloads, by whether the file was put in force or refused.");
  out.sample({{"result", "done"}}, report.reloads);
  out.sample({{"result", "refused"}}, report.failed_reloads);
  out.gauge("limpet_shutting_down", "1 while the process ends and accepts no more.");
  out.sample({}, report.shutting_down);
  out.gauge("limpet_workers", "Threads that serve requests.");
  out.sample({}, uint64_t{report.workers});
  out.gauge("limpet_client_connections", "Connections from clients that are open.");
  out.sample({}, report.connections);
  out.counter("limpet_client_connections_refused_total",
              "Connections from clients that were refused for want of descriptors.");
  out.sample({}, report.refused_connections);
  out.gauge("limpet_descriptors_max",
            "Open files that there may be at most: for clients, for these and backends, and for all.");
  out.sample(Labels{{"for", "clients"}}, report.descriptors_for_clients);
  out.sample(Labels{{"for", "backends"}}, report.descriptors_for_backends);
  out.sample(Labels{{"for", "all"}}, report.descriptors);
  out.counter("limpet_access_log_dropped_lines_total",
              "Lines of the access log that its reader or disk did not take.");
  out.sample({}, report.dropped_log_lines);
  out.counter("limpet_stderr_dropped_lines_total",
              "Lines of the operational log that the reader of standard error did not take.");
  out.sample({}, report.dropped_stderr_lines);
}

// Of two listeners with one name the second has left the file.
template <class Visit>
void each_listener(const Report& report, Visit&& visit) {
  std::unordered_set<std::string_view> names;
  for (const ListenerReport& listener : report.listeners) {
    if (names.insert(listener.name).second) visit(listener, Labels{{"listener", listener.name}});
  }
}

template <class Visit>
void each_tls(const Report& report, Visit&& visit) {
  each_listener(report, [&](const ListenerReport& listener, const Labels& labels) {
    if (listener.tls) visit(*listener.tls, labels);
  });
}

void listeners(Exposition& out, const Report& report) {
  out.counter("limpet_listener_connections_refused_total",
              "Connections from clients that were refused for a limit of their listener, by which.");
  each_listener(report, [&](const ListenerReport& listener, const Labels& labels) {
    for (size_t i = 0; i < listener.refused.size(); ++i)
      out.sample(labels + Labels{{"limit", text(static_cast<proxy::ConnectionLimit>(i))}},
                 listener.refused[i]);
  });
}

void http2_abuse(Exposition& out, const Report& report) {
  out.counter("limpet_listener_http2_abuse_total",
              "Connections from clients that were cut for what they did too much of over HTTP/2, by kind.");
  each_listener(report, [&](const ListenerReport& listener, const Labels& labels) {
    for (size_t i = 0; i < listener.http2_abuse.size(); ++i)
      out.sample(labels + Labels{{"kind", text(static_cast<http::H2Abuse>(i))}}, listener.http2_abuse[i]);
  });
}

template <class Visit>
void each_tls_files(const Report& report, Visit&& visit) {
  if (report.status_tls) visit(*report.status_tls, Labels{{"endpoint", "status"}});
  each_tls(report, [&](const TlsReport& tls, const Labels& labels) { visit(tls.files, labels); });
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    if (pool.tls) visit(*pool.tls, labels);
  });
}

template <class Visit>
void each_certificate(const Report& report, Visit&& visit) {
  each_tls_files(report, [&](const TlsFilesReport& of, const Labels& labels) {
    std::unordered_set<std::string_view> files;
    for (const CertificateReport& certificate : of.certificates) {
      if (files.insert(certificate.file).second)
        visit(certificate, labels + Labels{{"file", certificate.file}});
    }
  });
}

void tls(Exposition& out, const Report& report) {
  out.counter("limpet_tls_handshakes_total", "TLS handshakes with clients, by how they ended.");
  each_tls(report, [&](const TlsReport& of, const Labels& labels) {
    for (size_t i = 0; i < of.handshakes.size(); ++i)
      out.sample(labels + Labels{{"result", text(static_cast<proxy::HandshakeEnd>(i))}}, of.handshakes[i]);
  });
  out.gauge("limpet_tls_certificate_not_after_timestamp_seconds",
            "When a certificate that is shown expires, in Unix time; by the first of its names.");
  each_certificate(report, [&](const CertificateReport& certificate, const Labels& labels) {
    const std::string_view name = certificate.names.empty() ? std::string_view() : certificate.names.front();
    out.sample(labels + Labels{{"name", name}}, certificate.not_after);
  });
  out.gauge(
      "limpet_tls_file_stale",
      "1 while a file of certificates or authorities holds what cannot be used, and what it held before is.");
  each_tls_files(report, [&](const TlsFilesReport& of, const Labels& labels) {
    std::map<std::string_view, bool> stale;
    for (const CertificateReport& certificate : of.certificates)
      stale[certificate.file] |= !certificate.wrong.empty();
    if (of.authorities) stale[of.authorities->file] |= !of.authorities->wrong.empty();
    for (const auto& [file, is_stale] : stale) out.sample(labels + Labels{{"file", file}}, is_stale);
  });
}

void pool_sessions(Exposition& out, const Report& report) {
  out.gauge("limpet_pool_sessions", "Sessions that live now; at risk: their backend is out of service.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    const routing::Census& now = pool.sessions;
    live_sessions(out, labels, now.live, now.live_returned, now.at_risk, now.at_risk_returned);
  });
  out.gauge("limpet_pool_listed", "0 for a pool that left the file and of which something is left.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) { out.sample(labels, pool.listed); });
  out.gauge("limpet_pool_sessions_max", "Entries that the session table may hold (max_sessions).");
  each_pool(report,
            [&](const PoolReport& pool, const Labels& labels) { out.sample(labels, pool.max_sessions); });
  out.counter("limpet_pool_session_events_total", "What became of sessions.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    session_events(out, labels, pool.sessions.books);
  });
  out.gauge("limpet_pool_books_imbalance",
            "Sessions begun less those that live or ended: anything but 0 is a defect.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    out.sample(labels, pool.sessions.imbalance);
  });
  out.gauge("limpet_pool_load_imbalance_ratio",
            "Sessions of the most loaded backend over the mean, by weight, of those that take new ones.");
  each_pool(report,
            [&](const PoolReport& pool, const Labels& labels) { out.sample(labels, pool.imbalance()); });
  out.gauge("limpet_pool_session_table_entries",
            "Sessions, and former keys of renewed ones, in the session table.");
  each_pool(report,
            [&](const PoolReport& pool, const Labels& labels) { out.sample(labels, pool.sessions.entries); });
  out.gauge("limpet_pool_session_table_bytes", "Memory that the session table occupies.");
  each_pool(report,
            [&](const PoolReport& pool, const Labels& labels) { out.sample(labels, pool.sessions.bytes); });
}

void routing_decisions(Exposition& out, const Report& report) {
  const auto decided = [](const PoolReport& pool, routing::Reason reason) {
    return pool.decisions[static_cast<size_t>(reason)];
  };
  out.counter("limpet_pool_routing_decisions_total",
              "Where requests were to go, or why nowhere: one for each attempt.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    for (size_t i = 0; i < pool.decisions.size(); ++i)
      out.sample(labels + Labels{{"reason", routing::text(static_cast<routing::Reason>(i))}},
                 pool.decisions[i]);
  });
  out.histogram("limpet_pool_routing_decision_duration_seconds",
                "How long a decision took, of every sixteenth.");
  each_pool(report,
            [&](const PoolReport& pool, const Labels& labels) { out.sample(labels, pool.decision_latency); });
  out.histogram("limpet_pool_queue_seconds",
                "How long requests waited for a place at their backend, of those that had to.");
  each_pool(report,
            [&](const PoolReport& pool, const Labels& labels) { out.sample(labels, pool.queue_time); });
  out.counter("limpet_pool_requests_refused_total", "Requests that were refused for a limit, by which.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    out.sample(labels + Labels{{"limit", "queue_timeout"}}, pool.queue_timeouts);
    out.sample(labels + Labels{{"limit", "shed"}}, decided(pool, routing::Reason::shed));
    out.sample(labels + Labels{{"limit", "rate"}}, pool.rate_limited);
  });
  out.gauge("limpet_pool_sheds", "1 while requests that would begin a session are refused (shed).");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) { out.sample(labels, pool.sheds); });
  out.counter("limpet_pool_session_errors_total",
              "What went wrong with a session's key or its place, by kind.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    const auto error = [&](const char* kind, uint64_t count) {
      out.sample(labels + Labels{{"kind", kind}}, count);
    };
    error("unverified_token", pool.unverified_tokens);
    error("guess_missed", pool.guesses_missed);
    error("refused", decided(pool, routing::Reason::refused));
    error("full", decided(pool, routing::Reason::full));
    error("no_backend", decided(pool, routing::Reason::no_backend));
    error("evicted", pool.sessions.books.all[Event::evicted]);
  });
}

void backend_states(Exposition& out, const Report& report) {
  out.gauge("limpet_backend_state", "1 for the state that the backend is in, 0 for the others.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    using enum routing::BackendState;
    for (const routing::BackendState state : {up, draining, down, maintenance})
      out.sample(labels + Labels{{"state", routing::text(state)}}, state == backend.state);
  });
  out.gauge("limpet_backend_state_since_time_seconds", "When it came into that state, in Unix time.");
  each_backend(
      report, [&](const BackendReport& backend, const Labels& labels) { out.sample(labels, backend.since); });
  out.gauge("limpet_backend_held", "1 while it is kept up by max_down_percent though requests to it fail.");
  each_backend(report,
               [&](const BackendReport& backend, const Labels& labels) { out.sample(labels, backend.held); });
  out.gauge("limpet_backend_weight", "Its share of new sessions, relative to the others'.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    out.sample(labels, uint64_t{backend.weight});
  });
  out.gauge("limpet_backend_warmth_ratio", "How much of that share it has: less than 1 while it warms up.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    out.sample(labels, static_cast<double>(backend.warmth) / routing::kWarm);
  });
  out.gauge("limpet_backend_check_passed", "Whether its last health check passed.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    if (backend.last_check) out.sample(labels, backend.last_check->passed);
  });
  out.gauge("limpet_backend_check_duration_seconds", "How long its last health check took.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    if (backend.last_check) out.sample(labels, static_cast<double>(backend.last_check->microseconds) / 1e6);
  });
}

void backend_sessions(Exposition& out, const Report& report) {
  out.gauge("limpet_backend_sessions",
            "Sessions whose home it is; at risk: it has been out of service since it answered them last.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    const routing::HomeCensus& now = backend.sessions;
    live_sessions(out, labels, now.live, now.live_returned, std::min(now.at_risk.live, now.live),
                  std::min(now.at_risk.returned, now.live_returned));
  });
  out.gauge("limpet_backend_sessions_max", "Sessions that it may have (max_sessions); 0: no limit.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    out.sample(labels, uint64_t{backend.max_sessions});
  });
  out.gauge("limpet_backend_connections_max",
            "Requests that it serves at once at most (max_connections); 0: no limit.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    out.sample(labels, uint64_t{backend.max_connections});
  });
  out.gauge("limpet_backend_requests_waiting", "Requests that wait for one of these to end.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    out.sample(labels, uint64_t{backend.waiting});
  });
  out.counter("limpet_backend_session_events_total", "What became of sessions while it was their home.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    session_events(out, labels, backend.sessions.books);
  });
  out.counter("limpet_backend_sessions_arrived_total", "Sessions that came to it from another backend.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    out.sample(labels, backend.sessions.arrived);
  });
}

void backend_requests(Exposition& out, const Report& report) {
  out.counter("limpet_backend_requests_total",
              "Requests that were to go to it, by the class of its answer; none: there was none.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    constexpr const char* kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (size_t digit = 0; digit < backend.requests.answers.size(); ++digit)
      out.sample(labels + Labels{{"code", kClasses[digit]}}, backend.requests.answers[digit]);
  });
  out.counter("limpet_backend_attempt_failures_total",
              "Attempts to have it answer a request that failed, by how.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    for (size_t i = 0; i < backend.requests.failures.size(); ++i)
      out.sample(labels + Labels{{"kind", text(static_cast<proxy::BackendFailure>(i))}},
                 backend.requests.failures[i]);
  });
  const auto counter = [&](const char* name, const char* help, uint64_t RequestReport::* member) {
    out.counter(name, help);
    each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
      out.sample(labels, backend.requests.*member);
    });
  };
  counter("limpet_backend_requests_failed_total",
          "Requests that a client got an error for, or a part, through it.", &RequestReport::failed);
  counter("limpet_backend_retries_total", "Attempts that were made again after one at it had failed.",
          &RequestReport::retried);
  counter("limpet_backend_strays_total",
          "Connections to it that were closed because it said something that no request had asked for.",
          &RequestReport::strays);
  counter("limpet_backend_sent_bytes_total", "Bytes of bodies sent to it.", &RequestReport::bytes_in);
  counter("limpet_backend_received_bytes_total", "Bytes of bodies received from it.",
          &RequestReport::bytes_out);
  out.gauge("limpet_backend_requests_in_flight", "Requests that it is at work on, or that wait for it.");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    out.sample(labels, backend.requests.in_flight);
  });
  out.histogram("limpet_backend_request_duration_seconds",
                "From a request's whole head to the last byte of the backend's answer; without tunnels (101) "
                "and streams of events (GET, text/event-stream).");
  each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
    out.sample(labels, backend.requests.latency);
  });
}

void drains(Exposition& out, const Report& report) {
  const auto gauge = [&](const char* name, const char* help, auto&& value) {
    out.gauge(name, help);
    each_backend(report, [&](const BackendReport& backend, const Labels& labels) {
      if (backend.drain) value(*backend.drain, labels);
    });
  };
  gauge("limpet_backend_drain_began_with_sessions", "Sessions that it had when its drain began.",
        [&](const DrainReport& drain, const Labels& labels) { out.sample(labels, drain.began_with); });
  gauge("limpet_backend_drain_polling_sessions", "Of its sessions, those that only polling keeps alive.",
        [&](const DrainReport& drain, const Labels& labels) { out.sample(labels, drain.forecast.polling); });
  gauge("limpet_backend_drain_deadline_time_seconds", "When drain_timeout cuts what is left, in Unix time.",
        [&](const DrainReport& drain, const Labels& labels) { out.sample(labels, drain.deadline); });
  gauge("limpet_backend_drain_forecast_seconds",
        "Until so many percent of its sessions will be gone; none where that is not foreseen before the "
        "deadline.",
        [&](const DrainReport& drain, const Labels& labels) {
          if (!drain.forecast.is_known) return;
          const auto gone = [&](const char* percent, const std::optional<uint32_t>& seconds) {
            if (seconds) out.sample(labels + Labels{{"gone_percent", percent}}, uint64_t{*seconds});
          };
          gone("50", drain.forecast.gone_50);
          gone("90", drain.forecast.gone_90);
          gone("99", drain.forecast.gone_99);
        });
}

void incidents(Exposition& out, const Report& report) {
  out.gauge("limpet_pool_open_incidents", "Incidents whose sessions' fate is not settled yet, by kind.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    using enum health::Incident::Kind;
    for (const health::Incident::Kind kind : {outage, maintenance, drain, lapse, restart, gone}) {
      const auto open =
          std::count_if(report.incidents.begin(), report.incidents.end(), [&](const auto& incident) {
            return incident.closed == 0 && incident.kind == kind && incident.pool == pool.name;
          });
      out.sample(labels + Labels{{"kind", health::text(kind)}}, static_cast<uint64_t>(open));
    }
  });
}

void losses(Exposition& out, const Report& report) {
  out.counter("limpet_pool_session_losses_total",
              "Sessions lost, by the kind and the cause of the incident.");
  each_pool(report, [&](const PoolReport& pool, const Labels& labels) {
    for (const health::Losses& losses : report.losses) {
      if (losses.pool != pool.name) continue;
      const Labels why = {{"kind", health::text(losses.kind)}, {"cause", health::text(losses.cause)}};
      split_by_return(out, labels + why, losses.lost, losses.lost_returned);
    }
  });
}

}  // namespace

std::string metrics(const Report& report) {
  Exposition out;
  process(out, report);
  listeners(out, report);
  http2_abuse(out, report);
  tls(out, report);
  pool_sessions(out, report);
  routing_decisions(out, report);
  backend_states(out, report);
  backend_sessions(out, report);
  backend_requests(out, report);
  drains(out, report);
  incidents(out, report);
  losses(out, report);
  return out.text();
}

}  // namespace limpet::status
