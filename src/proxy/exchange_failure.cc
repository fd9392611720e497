// What an exchange does when something goes wrong: tries again while that is safe, or answers the client,
// once.
#include <uv.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "src/http/grpc.h"
#include "src/net/descriptors.h"
#include "src/proxy/context.h"
#include "src/proxy/exchange.h"

namespace limpet::proxy {

namespace {

constexpr uint32_t kMostRefusals = 3;  // of one request's streams, by a connection each

}  // namespace

void Exchange::on_backend_withdrawn(const ServedPool& pool, routing::Slot slot) {
  if (pool_ != &pool || choice_.slot != slot || attempt_ == Attempt::none) return;
  fail(failures::kWithdrawn);
  advance();
}

void Exchange::on_stop() {
  fail(failures::kShutdown);
  advance();
}

void Exchange::on_deadline() {
  if (lasts() && now_ms() < due_) {
    touch_session();
    return set_deadline();
  }
  if (phase_ == Phase::await_file) {
    context_.files.forget(*this);
    return on_file(std::nullopt);
  }
  if (phase_ == Phase::await_home) {
    phase_ = Phase::choose;
  } else if (phase_ == Phase::await_permit) {
    stop_waiting();
    if (permit_) {
      phase_ = Phase::connect;
    } else {
      pool_->meter().queue_timeouts.add();
      fail(failures::kQueueTimeout);
    }
  } else if (phase_ == Phase::connect) {
    connect_failed(UV_ETIMEDOUT);
  } else if (lag_.is_taken(client_->queued(), context_.settings().timeouts)) {
    lag_.end();
    await_progress();
  } else if (phase_ == Phase::tunnel) {
    cut(failures::kTunnelIdle);
  } else if (pace_.awaits() && !takes_body()) {
    await_progress();  // its client's time was running, but then the backend took no more
  } else if (is_awaiting_head() && now_ms() < head_due_) {
    tell_of_waiting();
  } else if (!has_begun_response()) {
    const bool client_lags = !has_request() && takes_body();
    if (is_awaiting_head()) blame(BackendFailure::timeout);
    fail(client_lags ? failures::kClientSlow : failures::kBackendSlow);
  } else {
    const bool client_lags = client_->queued() != 0 || (upload_has_a_rate() && upload_left() == 0);
    const bool may_be_silent = lasting_ != Lasting::no;
    cut(client_lags ? failures::kClientSlow : may_be_silent ? failures::kStreamIdle : failures::kBackendSlow);
  }
  advance();
}

// ---- what is told of the backend

void Exchange::blame(BackendFailure how, bool refused) {
  constexpr const char* kTexts[] = {"no connection", "a connection that ended before the answer did",
                                    "no answer in time", "an answer that is not HTTP",
                                    "an answer whose status counts as a failure"};
  const auto index = static_cast<size_t>(how);
  pool_->meter().backends[choice_.slot].failures[index].add();
  if (std::exchange(blamed_, choice_.slot) == choice_.slot) return;
  pool_->tell(choice_.slot,
              {health::Evidence::Kind::failed, client_hash(), now_us() / 1000, kTexts[index], refused});
}

void Exchange::doubt_backend() {
  if (!pool_->is_time_to_doubt(choice_.slot, now_ms())) return;
  pool_->tell(choice_.slot, {health::Evidence::Kind::doubtful, 0, now_us() / 1000});
}

void Exchange::tell_of_waiting() {
  pool_->tell(choice_.slot, {health::Evidence::Kind::waits, 0, connected_us_ / 1000});
  deadline_.set(std::min(head_due_, now_ms() + kLong));
}

// One site may have a /48 of IPv6 addresses (RFC 6177, section 2).
uint64_t Exchange::client_hash() const {
  const conf::IpAddress network = client_address_.is_v4() ? client_address_ : client_address_.masked(48);
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(network.bytes.data()), network.bytes.size()});
}

// ---- another attempt

// For what this process lacks no backend is to blame, and no session is moved.
void Exchange::connect_failed(int error) {
  drop_backend();
  lost_ = RetryBudget::Of::unseen;
  if (net::is_shortage(error))
    return fail(error == net::kNoPortLeft ? failures::kNoPorts : failures::kNoDescriptors);
  if (error == 0 || net::is_local(error)) return unreachable();
  blame(BackendFailure::connect, net::is_refused(error));
  choose_again(failures::kNoBackend);
}

void Exchange::unreachable() {
  if (is_at_home()) return fail(failures::kUnreachable);
  choose_again(failures::kUnreachable);
}

// The connection ended before an answer began. Another backend gets the request where this one has seen
// nothing of it; or once, for it may be what they die of, where it may be repeated, nothing came of it and no
// session lives here.
void Exchange::backend_lost() {
  if (can_send_again()) return send_again();
  const bool is_unseen = keeps_body_ && !backend_->has_sent();
  const bool may_go_elsewhere =
      keeps_body_ && request_->idempotent() && !backend_->has_answered() && !is_at_home() && !fresh_again_;
  blame(BackendFailure::closed);
  if (!is_unseen && !may_go_elsewhere) return fail(failures::kBackendClosed);
  fresh_again_ = fresh_again_ || !is_unseen;
  lost_ = is_unseen ? RetryBudget::Of::unseen : RetryBudget::Of::seen;
  drop_backend();
  choose_again(failures::kBackendClosed);
}

// At the home of a session that this process or a token knows.
bool Exchange::is_at_home() const {
  using enum routing::Reason;
  return choice_.reason == bound || choice_.reason == token || choice_.reason == failed_over ||
         choice_.reason == failed_back;
}

// No answer came from choice_: its home again within patience, else another one, if there is any, while the
// pool's retries last.
void Exchange::choose_again(const Failure& otherwise) {
  const bool is_home = choice_.reason == routing::Reason::bound || choice_.reason == routing::Reason::token;
  if (is_home && wait_for_home()) {
    give_up_choice();
  } else if (pool_->retries.has_left(now_ms(), lost_)) {
    tried_.add(choice_.slot);
    last_failure_ = &otherwise;
    give_up_choice();
    phase_ = Phase::choose;
  } else {
    fail(otherwise);
  }
}

void Exchange::give_up_choice() {
  pool_->meter().backends[choice_.slot].ended.add();
  pool_->router().release(choice_);
  permit_.give_back();
  choice_ = {};
}

// Until it is time to look for the home again. False: patience is at an end, or there never was any.
bool Exchange::wait_for_home() {
  const uint64_t again_at = patience_.next_attempt(now_ms(), millis(pool_->settings().patience));
  if (again_at == 0) return false;
  deadline_.set(again_at);
  phase_ = Phase::await_home;
  return true;
}

// It was the connection: a used one that ended before it said anything was most likely closed by a backend
// that had not seen the request (RFC 9112, section 9.3.1). So is a stream that is refused, where there are
// too many or its connection ends (RFC 9113, section 8.7); refused time and again, it is for the backend.
bool Exchange::is_stale() const {
  return backend_->is_reused() || (backend_->is_disowned() && attempts_ <= kMostRefusals);
}

// A new connection ended for a backend that died. Only a request that may be repeated is, or of which nothing
// was sent yet, and on a new connection once at most: it may be what the backend dies of. One without a home
// goes elsewhere rather.
bool Exchange::can_send_again() {
  if (backend_->has_answered() || !keeps_body_ || !(request_->idempotent() || !backend_->has_sent()))
    return false;
  return is_stale() ||
         (!fresh_again_ && is_at_home() && pool_->retries.has_left(now_ms(), RetryBudget::Of::seen));
}

// To the same backend: whether that is out of service shows when it is connected to.
void Exchange::send_again() {
  if (!is_stale()) {
    fresh_again_ = true;
    pool_->retries.spend(now_ms(), RetryBudget::Of::seen);
    blame(BackendFailure::closed);
  }
  fresh_only_ = true;
  drop_backend();
  phase_ = Phase::connect;
}

// Answers the client in the backend's place, or, where an answer has begun already, cuts it.
void Exchange::fail(const Failure& failure, int retry_after) {
  if (has_begun_response()) return cut(failure);
  drop_backend();
  end_ = failure;
  status_ = failure.status;
  response_state_ = ResponseState::whole;
  http::OwnReply reply = own_reply(failure.status);
  const std::string location = failure.status == failures::kToHttps.status ? https_location() : std::string();
  reply.what = failure.what;
  reply.location = location;
  const bool may_be_repeated = failure.status == 503 || failure.status == failures::kRateLimited.status;
  reply.retry_after = may_be_repeated ? retry_after : 0;
  bytes_out_ = client_->send_own(reply);
  phase_ = Phase::account;
  flush_client();
}

void Exchange::cut(const Failure& failure) {
  drop_backend();
  context_.to_client.clear();
  const bool was_cut_before = phase_ == Phase::tunnel && end_.blame == Blame::backend;
  if (!was_cut_before || failure.blame != Blame::client) end_ = failure;
  if (!has_begun_response()) status_ = failures::kClientGone.status;
  const bool is_told = can_be_told(failure);
  response_state_ = is_told ? ResponseState::told : ResponseState::cut;
  phase_ = Phase::account;
  if (!is_told) return;
  const http::GrpcStatus status(failure.status, failure.what);
  http::Fields trailers;
  trailers.add("grpc-status", status.code);
  trailers.add("grpc-message", status.message);
  client_->send_end(trailers);
}

// The answer to a call says in its trailers how the call ended: without, a client makes INTERNAL of it, and
// does not know that it may ask again. A client that lags or has gone would not read them.
bool Exchange::can_be_told(const Failure& failure) const {
  const bool listens = failure.blame != Blame::client || client_->queued() == 0;
  return is_call_ && lasting_ == Lasting::stream && response_state_ == ResponseState::begun && listens &&
         failure.status != failures::kClientGone.status;
}

void Exchange::drop_backend() {
  if (phase_ == Phase::await_file) context_.files.forget(*this);
  stop_waiting();
  if (std::exchange(attempt_, Attempt::none) == Attempt::resting) context_.polls.forget(*this);
  backend_.reset();
}

}  // namespace limpet::proxy
