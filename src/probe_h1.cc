#include "src/probe_h1.h"

#include <algorithm>
#include <utility>

namespace limpet {

namespace {

constexpr uint32_t kMostFields = 500;
constexpr std::string_view kProtocol = "HTTP/";

}  // namespace

ProbeH1::ProbeH1(const conf::HealthCheck& check)
    : ProbeAnswer(ProbeJudge::make(check)), to_head_(check.method == "HEAD") {}

void ProbeH1::ask(std::string_view request, std::string_view content) {
  request_.append(request).append(content);
}

// What a peer does not take is not told here: its end, or its reset, is.
void ProbeH1::say(net::Stream& stream) {
  const iovec part{request_.data(), request_.size()};
  if (!request_.empty()) stream.write({&part, 1});
  request_.clear();
}

void ProbeH1::take(std::string_view bytes) {
  if (judge_->is_over()) return;
  if (judge_->has_begun()) return take_body(bytes);
  heads_.append(bytes);
  take_heads();
}

void ProbeH1::take_heads() {
  while (!judge_->has_begun() && !heads_.empty()) {
    // A server of another protocol says its first line and waits: that would look like silence.
    const size_t known = std::min(heads_.size(), kProtocol.size());
    if (heads_.compare(0, known, kProtocol, 0, known) != 0) return judge_->fail("the answer is not HTTP");
    const http::HeadLimits limits{.head = head_left_, .target = head_left_, .fields = kMostFields};
    const http::HeadSearch search = http::find_head(heads_, searched_, limits);
    if (search.fault.status == 431 || search.fault.status == 414) {
      return judge_->fail("the head of the answer is larger than 64 KiB");
    }
    if (search.fault) return judge_->fail(std::string("the answer is not valid HTTP: ") + search.fault.what);
    if (search.size == 0) return;

    http::ResponseHead head;
    const std::string bytes = std::exchange(heads_, heads_.substr(search.size));
    if (const http::Fault fault =
            parser_.parse_response(std::string_view(bytes).substr(0, search.size), limits, to_head_, head)) {
      return judge_->fail(std::string("the answer is not valid HTTP: ") + fault.what);
    }
    searched_ = 0;
    head_left_ -= std::min(head_left_, search.size);
    if (head.interim()) continue;
    judge_->take_head(head.status, head.fields);
    take_body(std::exchange(heads_, {}));
  }
}

void ProbeH1::take_body(std::string_view bytes) {
  http::Fault fault;
  if (parser_.body_ended()) {
    judge_->take_end({});
  } else if (!bytes.empty()) {
    parser_.feed(bytes, *this, fault);
  }
  if (fault) judge_->fail(std::string("the answer is not valid HTTP: ") + fault.what);
}

void ProbeH1::end() {
  if (judge_->is_over()) return;
  if (!judge_->has_begun()) {
    return judge_->fail(heads_.empty() && head_left_ == kMostHead
                            ? "the connection ended before an answer"
                            : "the connection ended within the answer's head");
  }
  if (!parser_.end_of_stream(*this)) judge_->fail("the connection ended within the answer");
}

}  // namespace limpet
