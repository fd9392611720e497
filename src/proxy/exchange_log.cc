// What an exchange leaves behind: its counts, and its line in the access log.
#include "conf/words.h"
#include "src/proxy/context.h"
#include "src/proxy/exchange.h"

namespace limpet::proxy {

namespace {

int64_t since(uint64_t from, uint64_t to) { return to == 0 ? -1 : static_cast<int64_t>(to - from); }

}  // namespace

// That which answers, or is to be asked; else the last that was asked; or the home, for want of which a
// request was refused.
routing::Slot Exchange::backend_of_end() const {
  return choice_ ? choice_.slot : asked_ != routing::kNoSlot ? asked_ : choice_.home;
}

void Exchange::measure() {
  if (pool_ == nullptr) return;
  const routing::Slot slot = backend_of_end();
  const bool is_known = slot < pool_->fleet().backends.size();
  if (end_.blame == Blame::backend && is_known) {
    pool_->meter().backends[slot].failed.add();
  } else if (end_.blame == Blame::backend || end_.blame == Blame::balancer) {
    pool_->meter().unserved.add();
  }
  if (!choice_) return;
  BackendMeter& meter = pool_->meter().backends[choice_.slot];
  const int first_digit = status_ / 100;
  meter.answers[first_digit >= 1 && first_digit <= 5 && head_us_ != 0 ? static_cast<size_t>(first_digit) : 0]
      .add();
  meter.ended.add();
  meter.bytes_in.add(bytes_in_);
  meter.bytes_out.add(bytes_out_);
  if (response_state_ != ResponseState::whole || head_us_ == 0 || lasting_ == Lasting::endless) return;
  const uint64_t now = now_us();
  meter.latency.add(now - connect_us_);
  if (!is_failure(status_) && !is_doubtful(status_)) count_answered(now);
}

void Exchange::log() {
  if (!context_.logs()) return;
  const std::string client =
      client_address_ == client_->peer().address ? std::string() : client_address_.text();
  const routing::Slot backend = backend_of_end();
  const bool routed = choice_ || choice_.reason != routing::Reason::no_backend || attempts_ != 0;
  context_.log({
      .time_us = started_unix_us_,
      .client = client.empty() ? std::string_view(client_->peer().text) : client,
      .listener = client_->listener().settings.name,
      .method = request_->method,
      .target = request_->target,
      .host = request_->host,
      .protocol = request_->bytes.empty()        ? ""
                  : request_->major_version == 2 ? "HTTP/2.0"
                  : request_->minor_version == 0 ? "HTTP/1.0"
                                                 : "HTTP/1.1",
      .referer = request_->fields.first(http::FieldName::referer),
      .user_agent = request_->fields.first(http::FieldName::user_agent),
      .status = status_,
      .bytes_in = bytes_in_,
      .bytes_out = bytes_out_,
      .queued_us = queue_timeout_ ? static_cast<int64_t>(queued_us_) : -1,
      .connect_us = since(connect_us_, connected_us_),
      .head_us = since(started_us_, head_us_),
      .total_us = since(started_us_, now_us()),
      .pool = pool_ == nullptr ? std::string_view{} : pool_->settings().name,
      .backend = pool_ != nullptr && backend < pool_->fleet().backends.size()
                     ? std::string_view(pool_->fleet().backends[backend].name)
                     : std::string_view{},
      .affinity = pool_ == nullptr || !identity_.has_key ? std::string_view{} : conf::text(identity_.kind),
      .reason = pool_ != nullptr && routed ? routing::text(choice_.reason) : std::string_view{},
      .retries = attempts_ == 0 ? 0 : attempts_ - 1,
      .request_id = request_id_,
      .trace_id = trace_id_,
      .end = end_.end,
  });
}

}  // namespace limpet::proxy
