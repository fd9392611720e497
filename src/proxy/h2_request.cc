#include "src/proxy/h2_request.h"

#include <cassert>
#include <utility>

#include "src/http/grpc.h"
#include "src/net/outbox.h"
#include "src/proxy/certificate_fields.h"
#include "src/proxy/h2_client.h"

namespace limpet::proxy {

H2Request::H2Request(Context& context)
    : context_(context), deadline_(context.deadlines, *this), exchange_(context) {}

void H2Request::begin(H2Client& client) {
  clear();
  clear_for_reuse(waiting_);
  request_.clear();
  client_ = &client;
  state_ = State::head;
  is_open_ = true;
  content_ended_ = taking_ = lags_ = is_answered_ = flushing_ = false;
}

const http::Peer& H2Request::peer() const { return client_->peer_; }
const ServedListener& H2Request::listener() const { return client_->listener_; }
OwnConnections& H2Request::own_connections() { return client_->own_connections_; }
int H2Request::descriptor() const { return client_->descriptor(); }
bool H2Request::is_early() const { return client_->stream_->is_early(); }

// ---- what comes in

void H2Request::on_head(bool has_content) {
  content_ended_ = !has_content;
  state_ = State::whole;
  client_->start_later(*this);
}

void H2Request::start() {
  const bool has_content = !content_ended_;
  if (head.asks_for_web_socket() && has_content) head.become_upgrade(context_.new_web_socket_key());
  const http::Fault fault = head.finish_request(has_content, request_);
  state_ = State::exchange;
  if (fault) return exchange_.refuse(*this, request_, fault);
  hold_back_certificate_fields(peer(), listener().settings, request_.fields);
  taking_ = true;  // what is pulled meanwhile comes with its batch
  exchange_.begin(*this, request_);
  taking_ = false;
}

void H2Request::on_content(std::string_view piece) {
  client_->turn_to(this);
  if (state_ == State::whole) start();
  if (state_ == State::exchange && waiting_.empty() && exchange_.takes_body()) {
    take(piece);
    if (is_open_) client_->session_.consume_at_once(*this, piece.size());
  } else if (state_ == State::exchange) {
    waiting_.append(piece);
  } else {
    client_->session_.consume(*this, piece.size());
  }
}

void H2Request::take(std::string_view piece) {
  if (exchange_.is_tunnel()) {
    exchange_.on_client_tunnel(piece);
  } else {
    exchange_.on_body(piece);
  }
}

void H2Request::on_content_end() {
  client_->turn_to(this);
  if (state_ == State::whole) start();
  content_ended_ = true;
}

// Behind all content, once that has been taken.
void H2Request::tell_content_end() {
  if (state_ != State::exchange || !content_ended_ || !waiting_.empty()) return;
  if (request_.upgrades) return exchange_.on_client_end();
  if (exchange_.has_whole_request() || !exchange_.takes_body()) return;
  http::Fields fields;
  if (const http::Fault fault = trailers.finish_trailers(fields)) return exchange_.on_malformed_body(fault);
  exchange_.on_body_end(fields);
}

void H2Request::end_batch() {
  if (state_ != State::exchange || taking_) return;
  taking_ = true;
  std::string bytes;  // stays until what is told of it has been sent
  if (!waiting_.empty() && exchange_.takes_body()) {
    bytes.swap(waiting_);
    take(bytes);
    if (is_open_) client_->session_.consume(*this, bytes.size());
  }
  tell_content_end();
  if (state_ == State::exchange) exchange_.on_client_batch_end();
  taking_ = false;
}

void H2Request::pull() {
  if (client_->session_.is_feeding()) return;  // its batch ends soon
  end_batch();
  client_->go_on_soon();  // more may be said
}

// Of what is malformed nghttp2 tells nothing more.
void H2Request::on_closed(http::H2Error error, bool malformed) {
  client_->turn_to(nullptr);
  is_open_ = false;
  if (state_ == State::head || state_ == State::whole) {
    head.finish_request(false, request_);
    state_ = State::exchange;
    if (!malformed) return leave();
    return exchange_.refuse(*this, request_, {400, "the request is not valid HTTP/2"});
  }
  if (state_ == State::draining) return leave();
  is_answered_ = outgoing.has_ended() && error == http::H2Error::none;
  outgoing.clear();
  if (state_ != State::exchange || is_answered_ || flushing_) return;  // the exchange is about to be over
  if (malformed) {
    exchange_.on_malformed_body({400, "the request's content is not valid HTTP/2"});
  } else {
    exchange_.on_client_gone();
  }
}

// ---- what goes out

void H2Request::send_interim(const http::ResponseHead& response) {
  if (!is_open_) return;
  http::write_response(response, {.via = context_.settings().via}, context_.to_client);
  client_->session_.send_interim(*this, response.status, context_.to_client.all_text());
  context_.to_client.clear();
}

void H2Request::send_head(const http::ResponseHead& response, http::ResponseEdits edits) {
  if (!is_open_) return;
  edits.close = edits.keep_alive = edits.chunked = false;
  const bool is_empty = response.body.kind == http::BodyKind::none && response.status != 101;
  http::write_response(response, edits, context_.to_client);
  is_tunnel = response.status == 101;
  const int status = is_tunnel ? 200 : response.status;  // RFC 8441, section 5
  client_->session_.send_head(*this, status, context_.to_client.all_text(), is_empty);
  context_.to_client.clear();
}

void H2Request::send_end(const http::Fields& fields) {
  if (fields.size() == 0) return outgoing.end();
  http::write_trailers(fields, {}, context_.to_client);
  client_->session_.send_trailers(*this, context_.to_client.all_text());
  context_.to_client.clear();
}

size_t H2Request::send_own(http::OwnReply reply) {
  reply.close = reply.keep_alive = false;
  std::string text;
  if (http::is_grpc(request_.fields.first(http::FieldName::content_type))) {
    http::write_grpc_reply(reply, text);
    if (is_open_) client_->session_.send_head(*this, 200, text, true);
    return 0;
  }
  const size_t size = http::write_own_reply(reply, text);
  if (!is_open_) return size;
  const std::string_view content = std::string_view(text).substr(text.size() - size);
  client_->session_.send_head(*this, reply.status, text, size == 0);
  outgoing.add(content);
  outgoing.keep();
  outgoing.end();
  return size;
}

// Little waits for what else this turn brings for the client: by TLS that is one record then. Where nothing
// can be sent now, what was gathered is kept until something can.
bool H2Request::flush() {
  if (!is_open_) {
    outgoing.clear();
    return true;  // on_closed() tells what that means
  }
  client_->session_.resume(*this);
  client_->has_lagging_ = true;                      // until it is looked at
  lags_ = lags_ || client_->stream_->queued() != 0;  // behind what others have there
  if (!lags_ && outgoing.size() <= net::Outbox::kMostBytes) {
    outgoing.keep();
    client_->go_on_soon();
    return !client_->takes_no_more_;
  }
  flushing_ = true;
  client_->send();
  flushing_ = false;
  outgoing.keep();
  return !client_->takes_no_more_ && (is_open_ || is_answered_);
}

// What is held back for the turn's end is no lag.
size_t H2Request::queued() const {
  return (lags_ ? outgoing.size() : 0) + (client_->stream_ == nullptr ? 0 : client_->stream_->queued());
}

void H2Request::finish_tunnel() {
  outgoing.end();
  if (!is_open_) return;
  client_->session_.resume(*this);
  client_->go_on_soon();
}

void H2Request::look_whether_drained() {
  const bool lagged = std::exchange(lags_, outgoing.size() + client_->stream_->queued() != 0);
  client_->has_lagging_ = client_->has_lagging_ || lags_;
  if (lagged && !lags_ && state_ == State::exchange) exchange_.on_client_drained();
}

// ---- how it goes on

void H2Request::exchange_over(bool whole, bool) {
  clear_for_reuse(waiting_);
  state_ = State::draining;
  client_->go_on_soon();
  if (!is_open_) return leave();
  if (whole) {
    outgoing.end();
    client_->session_.resume(*this);
  } else {
    client_->session_.reset(*this, http::H2Error::internal);
  }
  await_taking();
}

void H2Request::await_taking() {
  lag_.wait(queued(), context_.deadlines.now() + millis(context_.settings().timeouts.body), deadline_);
}

void H2Request::on_deadline() {
  if (lag_.is_taken(queued(), context_.settings().timeouts)) return await_taking();
  if (client_->stream_->queued() != 0) return client_->close(true);
  H2Client& client = *client_;  // which this leaves
  client.session_.reset(*this, http::H2Error::cancel);
  client.go_on();
}

void H2Request::leave() {
  assert(state_ != State::closed);
  state_ = State::closed;
  deadline_.clear();
  client_->remove(*this);
}

}  // namespace limpet::proxy
