#include "src/status/collect.h"

#include <algorithm>

namespace limpet::status {
namespace {

void add(const proxy::Histogram& histogram, HistogramReport& sum) {
  for (size_t i = 0; i < histogram.counts.size(); ++i) sum.counts[i] += histogram.counts[i].value();
  sum.sum_us += histogram.sum_us.value();
}

std::string name_of(routing::Slot slot, const routing::Fleet& fleet) {
  return slot < fleet.backends.size() ? fleet.backends[slot].name
                                      : "a backend that the file has not named since Limpet started";
}

}  // namespace

RequestReport requests_at(const Meters& meters, routing::Slot slot) {
  RequestReport sum;
  for (const auto& meter : meters) {
    const proxy::BackendMeter& one = meter->backends[slot];
    for (size_t i = 0; i < one.answers.size(); ++i) sum.answers[i] += one.answers[i].value();
    for (size_t i = 0; i < one.failures.size(); ++i) sum.failures[i] += one.failures[i].value();
    sum.failed += one.failed.value();
    sum.retried += one.retried.value();
    sum.strays += one.strays.value();
    sum.bytes_in += one.bytes_in.value();
    sum.bytes_out += one.bytes_out.value();
    add(one.latency, sum.latency);
  }
  sum.in_flight = outcomes_at(meters, slot).in_flight;
  return sum;
}

Outcomes outcomes_at(const Meters& meters, routing::Slot slot) {
  Outcomes sum;
  uint64_t begun = 0, ended = 0;
  for (const auto& meter : meters) {
    const proxy::BackendMeter& one = meter->backends[slot];
    for (size_t digit = 1; digit < one.answers.size(); ++digit) sum.answered += one.answers[digit].value();
    sum.failed += one.failed.value();
    sum.retried += one.retried.value();
    ended += one.ended.value();  // first: what begins meanwhile may not make it negative
    begun += one.begun.value();
  }
  sum.in_flight = begun > ended ? begun - ended : 0;
  return sum;
}

health::Answered last_answered(const Meters& meters, routing::Slot slot) {
  health::Answered last;
  for (const auto& meter : meters) {
    const proxy::BackendMeter& one = meter->backends[slot];
    last.at = std::max(last.at, one.answered_at.us() / 1000);
    last.begun = std::max(last.begun, one.answered_begun.us() / 1000);
  }
  return last;
}

RequestReport requests_of_all(const Meters& meters, size_t backends) {
  RequestReport sum;
  for (size_t i = 0; i < backends; ++i) sum += requests_at(meters, static_cast<routing::Slot>(i));
  for (const auto& meter : meters) {
    sum.answers[0] += meter->unserved.value();
    sum.failed += meter->unserved.value();
  }
  return sum;
}

void add_decisions(const Meters& meters, PoolReport& pool) {
  for (const auto& meter : meters) {
    for (size_t i = 0; i < meter->reasons.size(); ++i) pool.decisions[i] += meter->reasons[i].value();
    add(meter->decision, pool.decision_latency);
    add(meter->queue_time, pool.queue_time);
    pool.queue_timeouts += meter->queue_timeouts.value();
    pool.rate_limited += meter->rate_limited.value();
  }
}

std::string why_there(const routing::SessionView& session, const routing::Fleet& fleet,
                      routing::BackendState state) {
  using enum routing::BackendState;
  if (session.booked_at != session.home)
    return "on its way from " + name_of(session.booked_at, fleet) + ", which has its data";
  if (state == down || state == maintenance)
    return "at risk: " + name_of(session.home, fleet) + " is " + routing::predicate(state);
  if (session.first_home != session.home) return "moved from " + name_of(session.first_home, fleet);
  return "its home";
}

}  // namespace limpet::status
