// Judges the answer to an HTTP check as it comes. No stream in here.
//
// What decides, in this order:
//     a status of `drain_status`, or the field "X-Limpet-State: drain" whatever the status is  -> drain
//     a status that is not of `status`                                                         -> fail
//     no `body` given, or it stands within the body's first kMostBody bytes                    -> pass
//     else                                                                                     -> fail
// A redirect is an answer like others: it is not followed. Interim answers (1xx) are passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "conf/settings.h"
#include "health/judge.h"
#include "src/http/parser.h"

namespace limpet {

class ProbeAnswer final : http::BodySink {
 public:
  static constexpr size_t kMostHead = 64 * 1024;  // bytes, with the interim heads before it
  static constexpr size_t kMostBody = 64 * 1024;  // bytes that are read of a body

  explicit ProbeAnswer(const conf::HealthCheck& check) : check_(check) {}  // `check` outlives it

  void take(std::string_view bytes);  // that the server has sent
  void end();                         // the server sends no more

  // Set once, as soon as what has come decides.
  const std::optional<health::CheckResult>& verdict() const { return verdict_; }
  // The value of the check's `instance_header`, hashed, once the head has come; none: there is no value.
  std::optional<uint64_t> instance() const { return instance_; }
  bool has_begun() const { return stage_ != Stage::head; }  // the answer's head has come
  // Nothing more is to be read: the answer has ended, is at its limit, or is no answer. There is a verdict.
  // It may be later than the verdict; who hangs up before makes servers log that they were cut.
  bool is_over() const { return stage_ == Stage::over; }

 private:
  enum class Stage : uint8_t { head, body, over };

  void on_body(std::string_view piece) override;
  void on_body_end(const http::Fields&) override { stage_ = Stage::over; }
  void take_heads();
  void take_body(std::string_view bytes);
  void judge(const http::ResponseHead& head);
  void find_instance(const http::Fields& fields);
  void fail(std::string detail);

  const conf::HealthCheck& check_;
  http::Parser parser_;
  Stage stage_ = Stage::head;
  std::string heads_;  // what has come, until the last head is whole
  size_t searched_ = 0;
  size_t head_left_ = kMostHead;
  std::string body_;       // what the text is looked for in
  size_t body_bytes_ = 0;  // that have come
  bool found_ = false;
  std::optional<health::CheckResult> verdict_;
  std::optional<uint64_t> instance_;
};

}  // namespace limpet
