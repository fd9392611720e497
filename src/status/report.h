// What the status endpoint shows: everything of one moment, as plain values. Made by the main thread,
// rendered by the endpoint's own threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/settings.h"
#include "health/forecast.h"
#include "health/incidents.h"
#include "health/judge.h"
#include "routing/session_table.h"
#include "src/http/h2_abuse.h"
#include "src/proxy/meters.h"

namespace limpet::status {

const char* text(proxy::BackendFailure failure);  // the name in the enum, as reports have it
const char* text(proxy::HandshakeEnd end);

struct HistogramReport {
  std::array<uint64_t, proxy::Histogram::kBuckets> counts{};  // bounds: proxy::Histogram::bound_us()
  uint64_t sum_us = 0;
  uint64_t count() const {
    uint64_t sum = 0;
    for (const uint64_t n : counts) sum += n;
    return sum;
  }
  double quantile_us(double share) const;  // estimated within its bucket; 0 where nothing was counted
  HistogramReport operator-(const HistogramReport& earlier) const;
};

struct RequestReport {
  std::array<uint64_t, 6> answers{};  // by the status' first digit; [0]: no answer came from the backend
  std::array<uint64_t, proxy::kBackendFailures> failures{};  // attempts, by how they failed
  uint64_t failed = 0, retried = 0;
  uint64_t strays = 0;  // connections closed for what came unasked
  uint64_t bytes_in = 0, bytes_out = 0;
  uint64_t in_flight = 0;
  HistogramReport latency;

  uint64_t count() const;     // of all
  uint64_t answered() const;  // by the backend
  RequestReport& operator+=(const RequestReport& other);
  RequestReport operator-(const RequestReport& earlier) const;  // since then; in flight are those of now
};

struct DrainReport {
  uint64_t began_with = 0;
  int64_t deadline = 0;  // Unix seconds
  std::optional<health::Unknown> unknown{};
  health::Forecast forecast;
};

struct CheckReport {
  bool passed = false;
  std::string detail;
  int64_t at = 0;  // Unix seconds
  uint64_t microseconds = 0;
};

struct BackendReport {
  std::string name, address;
  bool listed = true;  // in the file; otherwise it drains, or has drained
  routing::BackendState state = routing::BackendState::up;
  std::string cause, detail;
  int64_t since = 0;  // Unix seconds
  bool held = false;  // would be down on weak evidence, but for max_down_percent
  std::string doubt;  // what speaks against it while it is up, for people; empty: nothing
  uint32_t weight = 0, warmth = routing::kWarm, max_sessions = 0, max_connections = 0;
  uint32_t waiting = 0;  // requests, for a place there
  routing::HomeCensus sessions;
  RequestReport requests;
  std::optional<DrainReport> drain;
  std::optional<CheckReport> last_check;

  bool takes_new_sessions() const { return state == routing::BackendState::up && weight != 0; }
  std::string why() const;  // it is in this state, for people; empty: nothing ever happened to it
};

// One point of a chart: what happened in the kSampleSeconds before `at`.
struct Sample {
  int64_t at = 0;  // Unix seconds
  uint64_t live = 0, at_risk = 0;
  uint64_t begun = 0, ended = 0, lost = 0, uncertain = 0, requests = 0, failed = 0;
  uint64_t p50_us = 0, p99_us = 0;
};
inline constexpr int kSampleSeconds = 5;
inline constexpr size_t kSamples = 180;  // kept: a quarter of an hour

// One that is shown.
struct CertificateReport {
  static constexpr int64_t kSoon = 21 * 24 * 60 * 60;  // seconds: to renew it is due, and was by most tools

  std::string file;
  std::vector<std::string> names;
  int64_t not_before = 0, not_after = 0;  // Unix seconds
  std::string wrong{};                    // why what the file holds now is not shown; empty: it is
};

struct AuthoritiesReport {
  std::string file;     // empty: the system's
  std::string wrong{};  // why what the file holds now is not believed; empty: it is
};

// What TLS has of files.
struct TlsFilesReport {
  std::vector<CertificateReport> certificates{};   // that are shown, as in the settings
  std::optional<AuthoritiesReport> authorities{};  // that are believed
};

struct PoolReport {
  std::string name;
  bool listed = true;  // in the file; otherwise its backends drain, or have drained
  std::vector<std::string> affinity;
  std::string storage, placement, failover, failback;
  routing::Census sessions;
  uint64_t max_sessions = 0;
  uint64_t unverified_tokens = 0, guesses_missed = 0;
  std::array<uint64_t, proxy::PoolMeter::kReasons> decisions{};  // by routing::Reason
  HistogramReport decision_latency;                              // of every 16th
  HistogramReport queue_time;   // of those that waited for a place at a backend
  uint64_t queue_timeouts = 0;  // for as long as one waits
  uint64_t rate_limited = 0;    // requests, of clients that sent too many
  bool sheds = false;           // refuses at the moment what would begin a session
  RequestReport requests;       // to all of its backends, also those that are gone
  std::vector<BackendReport> backends;
  std::vector<Sample> history;        // oldest first
  std::optional<TlsFilesReport> tls;  // of its connections to backends; nullopt: they speak none

  bool takes_new_sessions() const;
  // The most loaded backend's sessions over the mean of those that take new ones, each by its weight; 0
  // without sessions.
  double imbalance() const;
};

// TLS at a listener.
struct TlsReport {
  std::array<uint64_t, proxy::kHandshakeEnds> handshakes{};  // by proxy::HandshakeEnd
  TlsFilesReport files{};
};

struct ListenerReport {
  std::string name, address;
  bool listed = true;  // in the file; otherwise it takes no more connections, and those it has end
  uint64_t connections = 0;
  std::array<uint64_t, proxy::kConnectionLimits> refused{};  // since the start, by proxy::ConnectionLimit
  // Since the start, by http::H2Abuse: connections that were cut for it.
  std::array<uint64_t, http::kH2Abuses> http2_abuse{};
  std::optional<TlsReport> tls{};  // where it is spoken
};

struct Report {
  std::string version;
  int64_t now = 0, started = 0, loaded = 0;  // Unix seconds; loaded: the settings in force
  std::string file;
  uint32_t workers = 0;
  uint64_t connections = 0, refused_connections = 0;  // of clients: open now; refused since the start
  // How many there may be, and below which numbers clients' and backends' connections have theirs.
  uint64_t descriptors = 0, descriptors_for_clients = 0, descriptors_for_backends = 0;
  uint64_t reloads = 0, failed_reloads = 0;
  uint64_t dropped_log_lines = 0, dropped_stderr_lines = 0;  // of the access log; of the operational one
  bool shutting_down = false;
  std::optional<TlsFilesReport> status_tls{};  // of this endpoint; nullopt: it speaks none
  std::vector<ListenerReport> listeners;
  std::vector<PoolReport> pools;
  std::vector<health::Incident> incidents;          // newest first, as many as were asked for
  uint64_t kept_incidents = 0, open_incidents = 0;  // of all
  std::vector<health::Losses> losses;
};

// Where a session lives, and why there.
struct SessionReport {
  std::string pool, backend, why;
  routing::BackendState state = routing::BackendState::up;
  int64_t first_seen = 0, last_seen = 0;
  bool returned = false, polls = false;
};

}  // namespace limpet::status
