// Reads the answer to an HTTP check out of HTTP/1. Interim answers (1xx) are passed over.
#pragma once

#include <string>
#include <string_view>

#include "src/http/parser.h"
#include "src/probe_answer.h"

namespace limpet {

class ProbeH1 final : public ProbeAnswer, http::BodySink {
 public:
  static constexpr size_t kMostHead = 64 * 1024;  // bytes, with the interim heads before it

  explicit ProbeH1(const conf::HealthCheck& check);  // `check` outlives it

  void ask(std::string_view request, std::string_view content) override;
  void say(net::Stream& stream) override;
  void take(std::string_view bytes) override;
  void end() override;

 private:
  void on_body(std::string_view piece) override { judge_->take_content(piece); }
  void on_body_end(const http::Fields& trailers) override { judge_->take_end(trailers); }
  void take_heads();
  void take_body(std::string_view bytes);

  const bool to_head_;  // the request's method is HEAD
  std::string request_;
  http::Parser parser_;
  std::string heads_;  // what has come, until the last head is whole
  size_t searched_ = 0;
  size_t head_left_ = kMostHead;
};

}  // namespace limpet
