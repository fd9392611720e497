// Judges the answer to a check as it comes, whichever version of HTTP carries it.
//
// Of kind http, in this order:
//     a status of `drain_status`, or the field "X-Limpet-State: drain" whatever the status is  -> drain
//     a status that is not of `status`                                                         -> fail
//     no `body` given, or it stands within the body's first kMostContent bytes                 -> pass
//     else                                                                                     -> fail
// A redirect is an answer like others: it is not followed. Of kind grpc: see probe_grpc.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "conf/settings.h"
#include "health/judge.h"
#include "src/http/head.h"

namespace limpet {

class ProbeJudge {
 public:
  using Kind = health::CheckResult::Kind;
  static constexpr size_t kMostContent = 64 * 1024;  // bytes that are read of it

  static std::unique_ptr<ProbeJudge> make(const conf::HealthCheck& check);  // which outlives it
  virtual ~ProbeJudge() = default;

  // The answer: its head, which is not an interim one, its content, and its end.
  void take_head(uint16_t status, const http::Fields& fields);
  void take_content(std::string_view piece);
  void take_end(const http::Fields& trailers);
  // It is no answer, or not a whole one: over; and failed, if nothing was decided before.
  void fail(std::string detail) { fail({.kind = Kind::fail, .detail = std::move(detail)}); }
  void fail(health::CheckResult why);

  // Set once, as soon as what has come decides.
  const std::optional<health::CheckResult>& verdict() const { return verdict_; }
  // The value of the check's `instance_header`, hashed, once the head has come; none: there is no value.
  std::optional<uint64_t> instance() const { return instance_; }
  bool has_begun() const { return has_begun_; }  // the head has come
  // Nothing more is to be read: the answer has ended, is at its limit, or is no answer. There is a verdict.
  // It may be later than the verdict; who hangs up before makes servers log that they were cut.
  bool is_over() const { return is_over_; }

 protected:
  explicit ProbeJudge(const conf::HealthCheck& check) : check_(check) {}
  void decide(Kind kind, std::string detail = {}) { verdict_ = {kind, std::move(detail)}; }
  bool is_asked_to_drain(const http::Fields& fields);  // and has decided so

  // Only while there is no verdict. At the end there has to be one.
  virtual void judge_head(uint16_t status, const http::Fields& fields) = 0;
  virtual void judge_content(std::string_view piece) = 0;
  virtual void judge_end(const http::Fields& trailers) = 0;
  virtual const char* too_long() const = 0;  // what is wrong with content beyond the limit

  const conf::HealthCheck& check_;

 private:
  void find_instance(const http::Fields& fields);

  size_t content_bytes_ = 0;  // that have come
  bool has_begun_ = false;
  bool is_over_ = false;
  std::optional<health::CheckResult> verdict_;
  std::optional<uint64_t> instance_;
};

}  // namespace limpet
