#include "src/status/report.h"

#include <algorithm>

namespace limpet::status {

const char* text(proxy::BackendFailure failure) {
  constexpr std::array<const char*, proxy::kBackendFailures> kNames = {"connect", "closed", "timeout",
                                                                       "nonsense", "status"};
  return kNames[static_cast<size_t>(failure)];
}

const char* text(proxy::HandshakeEnd end) {
  constexpr std::array<const char*, proxy::kHandshakeEnds> kNames = {"full", "resumed", "failed"};
  return kNames[static_cast<size_t>(end)];
}

RequestReport& RequestReport::operator+=(const RequestReport& other) {
  for (size_t i = 0; i < answers.size(); ++i) answers[i] += other.answers[i];
  for (size_t i = 0; i < failures.size(); ++i) failures[i] += other.failures[i];
  for (size_t i = 0; i < latency.counts.size(); ++i) latency.counts[i] += other.latency.counts[i];
  latency.sum_us += other.latency.sum_us;
  failed += other.failed;
  retried += other.retried;
  strays += other.strays;
  bytes_in += other.bytes_in;
  bytes_out += other.bytes_out;
  in_flight += other.in_flight;
  return *this;
}

RequestReport RequestReport::operator-(const RequestReport& earlier) const {
  RequestReport since = *this;
  for (size_t i = 0; i < answers.size(); ++i) since.answers[i] -= earlier.answers[i];
  for (size_t i = 0; i < failures.size(); ++i) since.failures[i] -= earlier.failures[i];
  since.latency = latency - earlier.latency;
  since.failed -= earlier.failed;
  since.retried -= earlier.retried;
  since.strays -= earlier.strays;
  since.bytes_in -= earlier.bytes_in;
  since.bytes_out -= earlier.bytes_out;
  return since;
}

uint64_t RequestReport::count() const { return answered() + answers[0]; }

uint64_t RequestReport::answered() const {
  uint64_t sum = 0;
  for (size_t digit = 1; digit < answers.size(); ++digit) sum += answers[digit];
  return sum;
}

HistogramReport HistogramReport::operator-(const HistogramReport& earlier) const {
  HistogramReport since = *this;
  for (size_t i = 0; i < counts.size(); ++i) since.counts[i] -= earlier.counts[i];
  since.sum_us -= earlier.sum_us;
  return since;
}

double HistogramReport::quantile_us(double share) const {
  const double wanted = share * static_cast<double>(count());
  double below = 0;
  for (size_t bucket = 0; bucket < counts.size(); ++bucket) {
    const auto here = static_cast<double>(counts[bucket]);
    if (here > 0 && below + here >= wanted) {
      const double from = bucket == 0 ? 0 : static_cast<double>(proxy::Histogram::bound_us(bucket - 1));
      if (bucket + 1 == counts.size()) return from;  // it has no upper bound
      const auto to = static_cast<double>(proxy::Histogram::bound_us(bucket));
      return from + (to - from) * (wanted - below) / here;
    }
    below += here;
  }
  return 0;
}

// By weight: with weights alike it is the most sessions over the mean.
double PoolReport::imbalance() const {
  double live_in_all = 0, weights = 0, most = 0;
  for (const BackendReport& backend : backends) {
    if (!backend.takes_new_sessions()) continue;
    const auto live = static_cast<double>(backend.sessions.live);
    live_in_all += live;
    weights += backend.weight;
    most = std::max(most, live / backend.weight);
  }
  return live_in_all == 0 ? 0 : most / (live_in_all / weights);
}

bool PoolReport::takes_new_sessions() const {
  return std::any_of(backends.begin(), backends.end(),
                     [](const BackendReport& backend) { return backend.takes_new_sessions(); });
}

namespace {

std::string with(const std::string& detail, std::string_view alone, std::string_view before_detail) {
  return detail.empty() ? std::string(alone) : std::string(before_detail) + detail;
}

std::string why_up(const BackendReport& backend) {
  if (!backend.doubt.empty()) return backend.doubt;
  if (backend.cause == "checks") return backend.detail.empty() ? "its checks pass" : backend.detail;
  if (backend.cause == "order") return with(backend.detail, "ordered", "ordered by ");
  if (backend.cause == "reload") return "the file names it again";
  return "";
}

}  // namespace

std::string BackendReport::why() const {
  if (state == routing::BackendState::up) return why_up(*this);
  if (state == routing::BackendState::down && cause == "order")
    return "its checks have yet to pass; " + with(detail, "ordered up", "ordered up by ");
  if (cause == "checks") return with(detail, "its checks fail", "its checks fail: ");
  if (cause == "requests") return with(detail, "requests to it fail", "requests to it fail: ");
  if (cause == "answer") return with(detail, "its checks ask for it", "its checks ask for it: ");
  const std::string asked =
      listed ? with(detail, "ordered", "ordered by ") : "the file does not name it any more";
  if (cause == "drained") return "drained; " + asked;
  if (cause == "drain_timeout") return "its drain was cut by drain_timeout; " + asked;
  return asked;
}

}  // namespace limpet::status
