#include "src/proxy/h2_call.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "src/http/framing.h"
#include "src/http/web_socket.h"
#include "src/proxy/backend_connections.h"
#include "src/proxy/h2_backend.h"

namespace limpet::proxy {

namespace {

// Empty where the request does not ask for a WebSocket, or not well.
std::string accept_of(const http::Fields& request) {
  bool is_web_socket = false;
  http::for_each_offer(request, [&](std::string_view protocol) {
    is_web_socket = is_web_socket || equals_ignoring_case(protocol, "websocket");
  });
  for (const http::Field& field : request.list) {
    if (is_web_socket && equals_ignoring_case(field.name, "sec-websocket-key"))
      return http::web_socket_accept(field.value);
  }
  return {};
}

}  // namespace

// ---- what goes out

H2Call::H2Call(H2Backend& connection, BackendEvents* events, bool reused)
    : home_(connection.home_), connection_(&connection), events_(events), reused_(reused) {}

void H2Call::send_head(const http::RequestHead& request, const http::RequestEdits& edits) {
  to_head_ = request.is_head();
  net::Gather& scratch = home_.gathered();
  http::write_request(request, edits, scratch);
  held_.assign(scratch.all_text());
  scratch.clear();
  ends_ = request.body.kind == http::BodyKind::none;
  if (request.upgrades) accept_ = accept_of(request.fields);
  if (accept_.empty() || connection_->session_.has_settings()) submit();
  has_gathered_ = true;
}

void H2Call::submit() {
  if (!connection_->session_.serves_web_sockets()) accept_.clear();
  const bool upgrades = !accept_.empty();
  connection_->session_.send_request(*this, home_.seals() ? "https" : "http", held_, ends_ && !upgrades,
                                     upgrades);
  held_.clear();
  if (ends_ && !upgrades) outgoing.end();
}

void H2Call::send_body(std::string_view piece) {
  outgoing.add(piece);
  has_gathered_ = true;
}

void H2Call::send_end(const http::Fields& fields, http::FieldSet drop) {
  if (!accept_.empty()) return;  // a tunnel, if the backend wants
  has_gathered_ = true;
  if (connection_ == nullptr || fields.size() == 0) return outgoing.end();
  net::Gather& scratch = home_.gathered();
  http::write_trailers(fields, drop, scratch);
  connection_->session_.send_trailers(*this, scratch.all_text());
  scratch.clear();
}

bool H2Call::flush() {
  has_gathered_ = false;
  if (connection_ == nullptr) {
    outgoing.clear();
    return false;
  }
  flushing_ = true;
  connection_->session_.resume(*this);
  connection_->send();
  flushing_ = false;
  outgoing.keep();
  if (closed_ || connection_->takes_no_more_) return false;
  has_sent_ = true;
  lags_ = outgoing.size() + connection_->stream_->queued() != 0;
  connection_->has_lagging_ = connection_->has_lagging_ || lags_;
  return true;
}

void H2Call::finish_tunnel() {
  outgoing.end();
  flush();
}

// What is gathered until flush() is no lag.
size_t H2Call::queued() const {
  return connection_ == nullptr ? 0 : (lags_ ? outgoing.size() : 0) + connection_->stream_->queued();
}

bool H2Call::tell_drained() {
  if (!lags_) return false;
  lags_ = outgoing.size() + connection_->stream_->queued() != 0;
  connection_->has_lagging_ = connection_->has_lagging_ || lags_;
  if (lags_ || events_ == nullptr) return false;
  events_->on_backend_drained();
  return true;
}

void H2Call::resume() {
  paused_ = false;
  if (unconsumed_ == 0 || connection_ == nullptr) return;
  connection_->session_.consume(*this, std::exchange(unconsumed_, 0));
  connection_->go_on_soon();
}

// ---- what comes in

// What another call was told last is dealt with first, and may be the end of this one's exchange.
bool H2Call::is_listened_to() {
  connection_->turn_to(this);
  return events_ != nullptr;
}

void H2Call::on_head(bool has_content) {
  answered_ = true;
  if (!is_listened_to()) return;
  if (!accept_.empty() && has_content && head.is_success()) head.become_switch(accept_);
  const http::Fault wrong = head.finish_response(to_head_, has_content, response_);
  if (wrong) {
    spdlog::debug("backend {}: {}", connection_->dial_.address().text(), wrong.what);
    return fault(BackendFault::nonsense, 0);
  }
  const bool ends = !has_content && !response_.interim();
  ended_ = ends;
  events_->on_response_head(response_);
  if (ends && events_ != nullptr) events_->on_response_end({});
}

void H2Call::on_content(std::string_view piece) {
  if (is_listened_to() && is_tunnel) {
    events_->on_backend_tunnel(piece);
  } else if (events_ != nullptr) {
    events_->on_response_body(piece);
  }
  if (connection_ == nullptr) return;
  if (paused_ && events_ != nullptr) {
    unconsumed_ += piece.size();
  } else {
    connection_->session_.consume(*this, piece.size());
  }
}

void H2Call::on_content_end() {
  ended_ = true;
  if (!is_listened_to()) return;
  if (is_tunnel) return events_->on_backend_tunnel_end();
  http::Fields fields;
  if (trailers.finish_trailers(fields)) return fault(BackendFault::nonsense, 0);
  events_->on_response_end(fields);
}

void H2Call::on_closed(http::H2Error error, bool malformed) {
  H2Backend& connection = *connection_;
  connection.turn_to(nullptr);
  disowned_ = error == http::H2Error::refused_stream && !has_answered();
  closed_ = malformed ? BackendFault::nonsense : BackendFault::closed;
  flushing_ ? connection.go_on_soon() : settle();
}

// Its stream is no more.
void H2Call::settle() {
  leave();
  if (!ended_) fault(*closed_, 0);
}

void H2Call::end_batch() {
  if (events_ != nullptr) events_->on_backend_batch_end();
}

void H2Call::fault(BackendFault what, int error) {
  if (events_ != nullptr) events_->on_backend_fault(what, error);
}

// ---- how it ends

void H2Call::leave() {
  H2Backend& connection = *std::exchange(connection_, nullptr);
  connection.remove(*this);
  if (events_ == nullptr) home_.bury(std::unique_ptr<H2Call>(this));
}

void H2Call::release(net::Millis keep_alive, OwnConnections&) {
  if (connection_ != nullptr) connection_->keep_alive_ = keep_alive;
  abandon();
}

// What has not ended is cut.
void H2Call::abandon() {
  events_ = nullptr;
  if (connection_ == nullptr) return home_.bury(std::unique_ptr<H2Call>(this));
  H2Backend& connection = *connection_;
  if (connection.told_ == this) connection.told_ = nullptr;
  if (connection.is_connecting() || id() == 0 || closed_) {
    leave();
  } else if (!ended_ || outgoing.size() != 0 || !outgoing.has_ended()) {
    const bool is_stuck = connection.takes_no_more_ || connection.stream_->queued() != 0;
    if (!answered_ || is_stuck) connection.suspect();
    connection.session_.consume(*this, std::exchange(unconsumed_, 0));
    connection.session_.reset(*this, http::H2Error::cancel);
  }
  connection.go_on_soon();
}

}  // namespace limpet::proxy
