#include "src/probe_answer.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "conf/ascii.h"

namespace limpet {

namespace {

using Kind = health::CheckResult::Kind;

constexpr uint32_t kMostFields = 500;
constexpr std::string_view kProtocol = "HTTP/";

bool asks_for_drain(const http::Fields& fields) {
  return std::any_of(fields.list.begin(), fields.list.end(), [](const http::Field& field) {
    return equals_ignoring_case(field.name, "X-Limpet-State") && equals_ignoring_case(field.value, "drain");
  });
}

}  // namespace

void ProbeAnswer::take(std::string_view bytes) {
  if (stage_ == Stage::body) return take_body(bytes);
  if (stage_ == Stage::over) return;
  heads_.append(bytes);
  take_heads();
}

void ProbeAnswer::take_heads() {
  while (stage_ == Stage::head && !heads_.empty()) {
    // A server of another protocol says its first line and waits: that would look like silence.
    const size_t known = std::min(heads_.size(), kProtocol.size());
    if (heads_.compare(0, known, kProtocol, 0, known) != 0) return fail("the answer is not HTTP");
    const http::HeadLimits limits{.head = head_left_, .target = head_left_, .fields = kMostFields};
    const http::HeadSearch search = http::find_head(heads_, searched_, limits);
    if (search.fault.status == 431 || search.fault.status == 414) {
      return fail("the head of the answer is larger than 64 KiB");
    }
    if (search.fault) return fail(std::string("the answer is not valid HTTP: ") + search.fault.what);
    if (search.size == 0) return;

    http::ResponseHead head;
    const std::string bytes = std::exchange(heads_, heads_.substr(search.size));
    if (const http::Fault fault = parser_.parse_response(std::string_view(bytes).substr(0, search.size),
                                                         limits, check_.method == "HEAD", head)) {
      return fail(std::string("the answer is not valid HTTP: ") + fault.what);
    }
    searched_ = 0;
    head_left_ -= std::min(head_left_, search.size);
    if (head.interim()) continue;
    judge(head);
    find_instance(head.fields);
    stage_ = Stage::body;
    take_body(std::exchange(heads_, {}));
  }
}

void ProbeAnswer::judge(const http::ResponseHead& head) {
  const std::string answered = "answered " + std::to_string(head.status);
  if (conf::contain(check_.drain_status, head.status)) {
    verdict_ = {Kind::drain, answered};
  } else if (asks_for_drain(head.fields)) {
    verdict_ = {Kind::drain, "answered X-Limpet-State: drain"};
  } else if (!conf::contain(check_.status, head.status)) {
    verdict_ = {Kind::fail, answered};
  } else if (check_.body.empty()) {
    verdict_ = {Kind::pass, ""};
  }
}

void ProbeAnswer::find_instance(const http::Fields& fields) {
  if (check_.instance_header.empty()) return;
  for (const http::Field& field : fields.list) {
    if (field.value.empty() || !equals_ignoring_case(field.name, check_.instance_header)) continue;
    instance_ = std::hash<std::string_view>{}(field.value);
    return;
  }
}

void ProbeAnswer::take_body(std::string_view bytes) {
  http::Fault fault;
  if (parser_.body_ended()) {
    stage_ = Stage::over;
  } else if (!bytes.empty()) {
    parser_.feed(bytes, *this, fault);
  }
  if (found_ && !verdict_) verdict_ = {Kind::pass, ""};
  if (fault) return fail(std::string("the answer is not valid HTTP: ") + fault.what);
  if (body_bytes_ > kMostBody) return fail("the first 64 KiB of the body do not contain the text");
  if (stage_ == Stage::over) fail("the body does not contain the text");
}

void ProbeAnswer::on_body(std::string_view piece) {
  const size_t room = kMostBody - std::min(kMostBody, body_bytes_);
  body_bytes_ += piece.size();
  if (verdict_ || found_) return;
  const size_t overlap = std::min(body_.size(), check_.body.size() - 1);
  const size_t from = body_.size() - overlap;
  body_.append(piece.substr(0, room));
  found_ = body_.find(check_.body, from) != body_.npos;
}

void ProbeAnswer::end() {
  if (stage_ == Stage::over) return;
  if (stage_ == Stage::head) {
    return fail(heads_.empty() && head_left_ == kMostHead ? "the connection ended before an answer"
                                                          : "the connection ended within the answer's head");
  }
  fail(parser_.end_of_stream(*this) ? "the body does not contain the text"
                                    : "the connection ended within the answer");
}

// Over; and failed, if nothing was decided before.
void ProbeAnswer::fail(std::string detail) {
  stage_ = Stage::over;
  if (!verdict_) verdict_ = {Kind::fail, std::move(detail)};
}

}  // namespace limpet
