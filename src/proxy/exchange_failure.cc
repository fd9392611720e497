// What an exchange does when something goes wrong: tries again while that is safe, or answers the client,
// once.
#include <utility>

#include "src/net/descriptors.h"
#include "src/proxy/context.h"
#include "src/proxy/exchange.h"

namespace limpet::proxy {

namespace {

constexpr int kRetryAfter = 5;  // seconds, for 503

}  // namespace

void Exchange::on_backend_withdrawn(const ServedPool& pool, routing::Slot slot) {
  if (pool_ != &pool || choice_.slot != slot || !backend_) return;
  fail(failures::kWithdrawn);
  advance();
}

void Exchange::on_stop() {
  fail(failures::kShutdown);
  advance();
}

void Exchange::on_deadline() {
  if (phase_ == Phase::await_home) {
    phase_ = Phase::choose;
  } else if (phase_ == Phase::connect) {
    connect_failed(0);
  } else if (phase_ == Phase::tunnel) {
    cut(failures::kTunnelIdle);
  } else if (pace_.awaits() && !takes_body()) {
    await_progress();  // its client's time was running, but then the backend took no more
  } else if (!response_begun_) {
    const bool client_lags = !request_ended_ && takes_body();
    if (!client_lags) pool_->failed(choice_.slot, BackendFailure::timeout);
    fail(client_lags ? failures::kClientSlow : failures::kBackendSlow);
  } else {
    const bool client_lags = client_->queued() != 0 || (upload_has_a_rate() && upload_left() == 0);
    if (!client_lags) pool_->failed(choice_.slot, BackendFailure::timeout);
    cut(client_lags ? failures::kClientSlow : failures::kBackendSlow);
  }
  advance();
}

// For what this process lacks no backend is to blame, and no session is moved.
void Exchange::connect_failed(int error) {
  drop_backend();
  if (net::is_shortage(error))
    return fail(error == net::kNoPortLeft ? failures::kNoPorts : failures::kNoDescriptors);
  pool_->failed(choice_.slot, BackendFailure::connect);
  choose_again();
}

// The connection ended before anything of an answer came.
void Exchange::backend_lost() {
  if (can_send_again()) return send_again();
  const bool is_safe = keeps_body_ && sent_nothing();
  pool_->failed(choice_.slot, BackendFailure::closed);
  if (!is_safe) return fail(failures::kBackendClosed);
  drop_backend();
  choose_again();
}

// Nothing of the request was sent to choice_: its home again within patience, else another one.
void Exchange::choose_again() {
  pool_->meter().backends[choice_.slot].ended.add();
  pool_->router().release(choice_);
  const routing::Choice failed = std::exchange(choice_, {});
  phase_ = Phase::choose;
  const bool is_home = failed.reason == routing::Reason::bound || failed.reason == routing::Reason::token;
  if (!is_home || !wait_for_home()) tried_.add(failed.slot);
}

// Until it is time to look for the home again. False: patience is at an end, or there never was any.
bool Exchange::wait_for_home() {
  const uint64_t again_at = patience_.next_attempt(now_ms(), millis(pool_->settings().patience));
  if (again_at == 0) return false;
  deadline_.set(again_at);
  phase_ = Phase::await_home;
  return true;
}

// A used connection that ended before it said anything was most likely closed by a backend that had not seen
// the request (RFC 9112, section 9.3.1); a new one, by a backend that died. Only a request that may be
// repeated is, or of which nothing was sent yet, and on a new connection once at most: it may be what the
// backend dies of.
bool Exchange::can_send_again() const {
  const bool has_a_chance = backend_->reused() || !fresh_again_;
  return has_a_chance && !backend_->has_answered() && keeps_body_ &&
         (request_.idempotent() || sent_nothing());
}

// To the same backend: whether that is out of service shows when it is connected to.
void Exchange::send_again() {
  fresh_again_ = fresh_again_ || !backend_->reused();
  fresh_only_ = true;
  if (!backend_->reused()) pool_->failed(choice_.slot, BackendFailure::closed);
  drop_backend();
  phase_ = Phase::connect;
}

// Answers the client in the backend's place, or, where an answer has begun already, cuts it.
void Exchange::fail(const Failure& failure) {
  if (response_begun_) return cut(failure);
  drop_backend();
  end_ = failure;
  status_ = failure.status;
  response_begun_ = whole_ = true;
  bytes_out_ = client_->send_error({.status = failure.status,
                                    .what = failure.what,
                                    .request_id = request_id_,
                                    .accept = request_.fields.first(http::FieldName::accept),
                                    .date = context_.clock.http_date(context_.clock.unix_us()),
                                    .retry_after = failure.status == 503 ? kRetryAfter : 0,
                                    .close = !request_ended_,
                                    .head_only = request_.is_head()});
  phase_ = Phase::account;
  flush_client();
}

void Exchange::cut(const Failure& failure) {
  drop_backend();
  context_.to_client.clear();
  end_ = failure;
  if (!response_begun_) status_ = failures::kClientGone.status;
  whole_ = false;
  phase_ = Phase::account;
}

void Exchange::drop_backend() {
  context_.to_backend.clear();
  connected_ = false;
  if (backend_) pool_->connections.close(std::move(backend_));
}

}  // namespace limpet::proxy
