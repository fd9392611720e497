// What an exchange does when its client does something.
#include "src/proxy/certificate_fields.h"
#include "src/proxy/context.h"
#include "src/proxy/exchange.h"

namespace limpet::proxy {

namespace {

// How much of a request's body is kept so that it can be sent once more when a used connection turns out to
// be stale.
constexpr size_t kMostKept = 64 * 1024;

}  // namespace

bool Exchange::takes_body() const {
  if (attempt_ != Attempt::open || backend_->queued() != 0) return false;
  return phase_ == Phase::tunnel ||
         (phase_ == Phase::relay && !has_request() && response_state_ < ResponseState::ended);
}

void Exchange::on_client_tunnel(std::string_view bytes) {
  bytes_in_ += bytes.size();
  if (web_socket_ && response_state_ == ResponseState::begun) web_socket_->client.feed(bytes);
  backend_->send_tunnel(bytes);
}

void Exchange::on_malformed_body(const http::Fault& fault) {
  fail(failures::malformed(fault));
  advance();
}

void Exchange::on_body(std::string_view piece) {
  if (phase_ != Phase::relay) return;
  bytes_in_ += piece.size();
  const uint64_t most = context_.settings().limits.body;
  if (most != 0 && bytes_in_ > most) return fail(failures::kTooLarge);
  const bool may_go_again = !backend_->has_sent() || backend_->may_be_disowned() || request_->idempotent();
  keeps_body_ = keeps_body_ && may_go_again && bytes_in_ <= kMostKept;
  if (keeps_body_) sent_body_.append(piece);
  backend_->send_body(piece);
}

void Exchange::on_body_end(const http::Fields& trailers) {
  if (phase_ != Phase::relay) return;
  request_state_ = RequestState::whole;
  keeps_body_ = keeps_body_ && trailers.size() == 0;
  http::Fields passing = trailers;
  hold_back_certificate_fields(client_->peer(), client_->listener().settings, passing);
  backend_->send_end(passing, http::forwarded_to_drop(client_->peer(), client_->listener().settings));
}

void Exchange::on_client_batch_end() {
  if (phase_ == Phase::relay || phase_ == Phase::tunnel) flush_backend();
  advance();
}

void Exchange::on_client_end() {
  if (request_state_ == RequestState::cut || request_state_ == RequestState::closed) return;
  const bool leaves = !client_->listener().settings.half_close && (has_request() || awaits_its_turn());
  request_state_ = has_request() ? RequestState::closed : RequestState::cut;
  if (phase_ == Phase::tunnel) {
    backend_->finish_tunnel();
    await_progress();
  } else if (leaves) {
    cut(failures::kClientGone);
  } else if (request_state_ == RequestState::cut) {
    fail(failures::kBodyCut);
  }
  advance();
}

void Exchange::on_client_drained() {
  if (attempt_ >= Attempt::open) backend_->resume();
  if (has_begun_response()) await_progress();
}

void Exchange::on_client_gone() {
  cut(failures::kClientGone);
  advance();
}

}  // namespace limpet::proxy
