// How long an exchange waits, and for whom.
#include <algorithm>
#include <utility>

#include "src/http/grpc.h"
#include "src/proxy/context.h"
#include "src/proxy/exchange.h"

namespace limpet::proxy {

namespace {
constexpr net::Millis kTouchEvery = 10'000;  // at least so often what lasts keeps its session alive
}

// ---- for a place at its backend

// A session waits for its own backend, whichever others have a place. So does whatever begins one: that was
// placed where a place is free, if one is anywhere.
Exchange::Step Exchange::take_permit() {
  const bool has_limit = pool_->fleet().backends[choice_.slot].max_connections != 0;
  if (permit_ || !has_limit || pool_->permits().take(choice_.slot, permit_)) {
    phase_ = Phase::connect;
    return Step::go;
  }
  if (!queue_timeout_) queue_timeout_ = millis(pool_->settings().queue_timeout);
  queue_us_ = now_us();
  deadline_.set(now_ms() + *queue_timeout_ - std::min<net::Millis>(*queue_timeout_, queued_us_ / 1000));
  phase_ = Phase::await_permit;
  waiting_ = pool_->permits().wait(choice_.slot, now_ms(), context_.permit_calls, this);
  return Step::wait;
}

// Called without a place it looks again: its backend is out of service, or has no limit any more.
void Exchange::on_permit_called() {
  stop_waiting();
  if (!permit_) give_up_choice();
  phase_ = permit_ ? Phase::connect : Phase::choose;
  advance();
}

// It may have been given a place already.
void Exchange::stop_waiting() {
  if (waiting_ == nullptr) return;
  permit_ = pool_->permits().end(*std::exchange(waiting_, nullptr));
  const uint64_t waited = now_us() - std::exchange(queue_us_, 0);
  queued_us_ += waited;
  pool_->meter().queue_time.add(waited);
}

// ---- for the next move

// Waits for whoever has to move next.
void Exchange::await_progress() {
  if (phase_ != Phase::relay && phase_ != Phase::tunnel) return;
  const conf::PoolTimeouts& timeouts = pool_->settings().timeouts;
  conf::Duration wait = timeouts.body;
  if (phase_ == Phase::tunnel) {
    wait = tunnel_wait();
  } else if (is_call_ && client_->queued() == 0 && !has_begun_response() && takes_body()) {
    wait = timeouts.stream;  // the client tells of things as they happen
  } else if (client_->queued() != 0 || (!has_begun_response() && takes_body())) {
    wait = context_.settings().timeouts.body;
  } else if (!has_begun_response()) {
    wait = head_wait();
  } else if (lasting_ != Lasting::no) {
    wait = timeouts.stream;
  }
  net::Millis most = millis(wait);
  const size_t queued = client_->queued();
  if (!lag_.goes_on(queued)) lag_.wait(queued, now_ms() + most);
  if (queued != 0) most = lag_.left(now_ms());  // whatever else it does meanwhile: it has to take that
  if (is_awaiting_head()) {
    head_due_ = now_ms() + most;
    most = std::min(most, kLong);
  }
  if (!upload_has_a_rate() || !takes_body()) {
    pace_.excuse();
  } else {
    pace_.await(now_ms());
    most = std::min(most, upload_left());
  }
  due_ = now_ms() + most;
  if (lasts()) touch_session();
  set_deadline();
}

// An open stream or tunnel is no idle session, however silent it is.
bool Exchange::lasts() const {
  return phase_ == Phase::tunnel || (phase_ == Phase::relay && has_begun_response());
}

void Exchange::set_deadline() { deadline_.set(lasts() ? std::min(due_, touch_at_) : due_); }

// The whole request has come in, and all that is missing is the backend's answer.
bool Exchange::is_awaiting_head() const {
  return phase_ == Phase::relay && has_request() && !has_begun_response() && client_->queued() == 0;
}

// Whoever calls says how long the answer may take, and gives up then.
conf::Duration Exchange::head_wait() const {
  const conf::Duration most = pool_->settings().timeouts.head;
  if (!is_call_) return most;
  for (const http::Field& field : request_->fields.list) {
    if (equals_ignoring_case(field.name, "grpc-timeout"))
      return std::max(most, http::grpc_timeout(field.value).value_or(most));
  }
  return most;
}

// A chunked body may be a stream, which is as slow as what it tells of.
bool Exchange::upload_has_a_rate() const {
  return phase_ == Phase::relay && !has_request() && request_->body.kind == http::BodyKind::length &&
         context_.settings().timeouts.body_rate != 0;
}

net::Millis Exchange::upload_left() const {
  const conf::ClientTimeouts& timeouts = context_.settings().timeouts;
  return pace_.left(now_ms(), millis(timeouts.body), bytes_in_, timeouts.body_rate);
}

// Silence is the two ends' own affair while both may break it. One that has bytes to take, or that alone has
// still to end, is waited for as in a body. Whoever takes nothing may hide that the other has ended: that is
// not read any further.
conf::Duration Exchange::tunnel_wait() const {
  const conf::PoolTimeouts& timeouts = pool_->settings().timeouts;
  const conf::Duration for_client = std::min(context_.settings().timeouts.body, timeouts.tunnel);
  const conf::Duration for_backend = std::min(timeouts.body, timeouts.tunnel);
  if (client_->queued() != 0) return for_client;
  if (request_state_ == RequestState::closed || backend_->queued() != 0) return for_backend;
  return response_state_ == ResponseState::ended ? for_client : timeouts.tunnel;
}

net::Millis Exchange::touch_interval() const {
  return std::min(kTouchEvery, millis(pool_->settings().idle_timeout) / 2);
}

void Exchange::touch_session() {
  if (now_ms() < touch_at_) return;
  touch_at_ = now_ms() + touch_interval();
  pool_->router().touch(identity_, seconds(context_.clock.unix_us(), now_us()));
}

}  // namespace limpet::proxy
