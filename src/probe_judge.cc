#include "src/probe_judge.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "conf/ascii.h"
#include "src/probe_grpc.h"

namespace limpet {

namespace {

class HttpJudge final : public ProbeJudge {
 public:
  explicit HttpJudge(const conf::HealthCheck& check) : ProbeJudge(check) {}

 private:
  void judge_head(uint16_t status, const http::Fields& fields) override {
    const std::string answered = "answered " + std::to_string(status);
    if (conf::contain(check_.drain_status, status)) return decide(Kind::drain, answered);
    if (is_asked_to_drain(fields)) return;
    if (!conf::contain(check_.status, status)) return decide(Kind::fail, answered);
    if (check_.body.empty()) decide(Kind::pass);
  }

  void judge_content(std::string_view piece) override {
    const size_t overlap = std::min(content_.size(), check_.body.size() - 1);
    const size_t from = content_.size() - overlap;
    content_.append(piece);
    if (content_.find(check_.body, from) != content_.npos) decide(Kind::pass);
  }

  void judge_end(const http::Fields&) override { decide(Kind::fail, "the body does not contain the text"); }

  const char* too_long() const override { return "the first 64 KiB of the body do not contain the text"; }

  std::string content_;  // what the text is looked for in
};

}  // namespace

std::unique_ptr<ProbeJudge> ProbeJudge::make(const conf::HealthCheck& check) {
  if (check.kind == conf::HealthCheck::Kind::grpc) return std::make_unique<GrpcJudge>(check);
  return std::make_unique<HttpJudge>(check);
}

void ProbeJudge::take_head(uint16_t status, const http::Fields& fields) {
  if (is_over_) return;
  has_begun_ = true;
  find_instance(fields);
  judge_head(status, fields);
}

void ProbeJudge::take_content(std::string_view piece) {
  if (is_over_) return;
  const size_t room = kMostContent - std::min(kMostContent, content_bytes_);
  content_bytes_ += piece.size();
  if (!verdict_) judge_content(piece.substr(0, room));
  if (content_bytes_ > kMostContent) fail(too_long());
}

void ProbeJudge::take_end(const http::Fields& trailers) {
  if (is_over_) return;
  is_over_ = true;
  if (!verdict_) judge_end(trailers);
}

void ProbeJudge::fail(health::CheckResult why) {
  is_over_ = true;
  if (!verdict_) verdict_ = std::move(why);
}

bool ProbeJudge::is_asked_to_drain(const http::Fields& fields) {
  const bool is_asked = std::any_of(fields.list.begin(), fields.list.end(), [](const http::Field& field) {
    return equals_ignoring_case(field.name, "X-Limpet-State") && equals_ignoring_case(field.value, "drain");
  });
  if (is_asked) decide(Kind::drain, "answered X-Limpet-State: drain");
  return is_asked;
}

void ProbeJudge::find_instance(const http::Fields& fields) {
  if (check_.instance_header.empty()) return;
  for (const http::Field& field : fields.list) {
    if (field.value.empty() || !equals_ignoring_case(field.name, check_.instance_header)) continue;
    instance_ = std::hash<std::string_view>{}(field.value);
    return;
  }
}

}  // namespace limpet
