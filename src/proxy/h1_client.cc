#include "src/proxy/h1_client.h"

#include "src/http/chunk.h"
#include "src/proxy/certificate_fields.h"
#include "src/proxy/h2_client.h"
#include "src/proxy/linger.h"
#include "src/proxy/proxy_protocol.h"

namespace limpet::proxy {

H1Client::H1Client(Context& context, ServedListener& listener, http::Peer peer, ClientConnections& home,
                   Admission admission)
    : ClientConnection(context, listener, home, std::move(admission)),
      peer_(std::move(peer)),
      deadline_(context.deadlines, *this) {}

H1Client::~H1Client() = default;

void H1Client::begin(net::StreamPtr stream, std::string_view came) {
  stream_ = std::move(stream);
  stream_->start(this);
  become_idle();
  if (!came.empty()) on_bytes(came);
}

// ---- what comes in

void H1Client::on_bytes(std::string_view bytes) {
  if (has_said_all()) {
    lingered_ += bytes.size();
    if (lingered_ > kMostLingered) close(false);
    return;
  }
  if (waiting_.empty()) {
    keep(bytes.substr(take(bytes)));
  } else {
    waiting_.append(bytes);
    take_waiting();
  }
  go_on();
}

void H1Client::keep(std::string_view rest) {
  if (!rest.empty() && !has_said_all()) waiting_.assign(rest);
}

// What waits may be taken now: an exchange is over, or takes more of its body.
void H1Client::take_waiting() {
  if (waiting_.empty()) {
    take({});
    return;
  }
  const std::string bytes = std::move(waiting_);
  waiting_.clear();
  keep(std::string_view(bytes).substr(take(bytes)));
}

// Takes from the bytes what the connection's state lets it take; says how many. Goes from request to request
// in a loop, so that pipelined ones do not pile up on the stack.
size_t H1Client::take(std::string_view bytes) {
  if (taking_) return 0;
  taking_ = true;
  size_t taken = 0;
  for (;;) {
    const std::string_view rest = bytes.substr(taken);
    if (state_ == State::exchange) {
      if (!rest.empty() && exchange().takes_body()) {
        taken += take_body(rest);
        continue;
      }
      exchange().on_client_batch_end();
      if (state_ == State::exchange) break;
      continue;
    }
    if (rest.empty() || stream_ == nullptr || stream_->queued() != 0) break;
    const size_t used = has_said_all() ? 0 : take_head(rest);
    if (used == 0) break;
    taken += used;
  }
  taking_ = false;
  return taken;
}

// As far as it has come. Over TLS the protocol was chosen before (RFC 9113, section 3.2).
bool H1Client::begins_http2(std::string_view bytes) const {
  const std::string_view begin = H2Client::kPreface.substr(0, bytes.size());
  return is_first_ && listener_.settings.http2 && !peer_.tls && bytes.starts_with(begin);
}

void H1Client::become_http2(std::string_view bytes) {
  state_ = State::closed;
  deadline_.clear();
  (new H2Client(context_, listener_, std::move(peer_), home_, std::move(admission_)))
      ->begin(std::move(stream_), bytes);
  leave();
}

size_t H1Client::take_head(std::string_view bytes) {
  if (state_ == State::idle && listener_.settings.proxy_protocol && begins_proxy_header(bytes)) {
    context_.refused_header(listener_.settings.name, peer_.text,
                            "with a PROXY protocol header that proxy_protocol_from does not allow");
    refuse({400, "a PROXY protocol header from a peer that may send none"});
    return bytes.size();
  }
  if (state_ == State::idle && (bytes[0] == '\r' || bytes[0] == '\n')) {  // RFC 9112, section 2.2
    if (bytes.starts_with("\r\n")) return 2;
    if (bytes == "\r") return 0;
  }
  const conf::Limits& limits = context_.settings().limits;
  if (state_ == State::idle) {
    state_ = State::head;
    is_new_ = false;
    searched_ = 0;
    deadline_.set(context_.deadlines.now() + millis(context_.settings().timeouts.head));
  }
  if (bytes[0] == H2Client::kPreface[0] && begins_http2(bytes)) {
    if (bytes.size() < H2Client::kPreface.size()) return 0;
    become_http2(bytes);
    return bytes.size();
  }
  const http::HeadSearch search =
      http::find_head(bytes, searched_, {limits.head, limits.target, limits.headers});
  if (search.fault) {
    refuse(search.fault);
    return bytes.size();
  }
  if (search.size != 0) {
    H1Request& request = new_request();
    request.bytes.assign(bytes.substr(0, search.size));
    const http::Fault fault = request.parser.parse_request(
        request.bytes, {limits.head, limits.target, limits.headers}, request.head);
    if (fault) {
      request.exchange.refuse(*this, request.head, fault);
    } else {
      hold_back_certificate_fields(peer_, listener_.settings, request.head.fields);
      request.exchange.begin(*this, request.head);
    }
  }
  return search.size;
}

H1Request& H1Client::new_request() {
  state_ = State::exchange;
  is_first_ = false;
  deadline_.clear();
  delimited_ = Delimited::by_length;
  request_ = context_.h1_requests.take(context_);
  request_->clear();
  return *request_;
}

void H1Client::refuse(const http::Fault& fault) {
  H1Request& request = new_request();
  request.exchange.refuse(*this, request.head, fault);
}

size_t H1Client::take_body(std::string_view bytes) {
  if (exchange().is_tunnel()) {
    exchange().on_client_tunnel(bytes);
    return bytes.size();
  }
  http::Fault fault;
  const size_t taken = request_->parser.feed(bytes, exchange(), fault);
  if (fault) exchange().on_malformed_body(fault);
  return taken;
}

// After every event: reads on or not, and tells the exchange that its client has nothing more to send.
void H1Client::go_on() {
  if (state_ == State::closed) return;
  const bool may_grow = state_ == State::head;  // which has a limit of its own
  if (waiting_.size() >= kMostWaiting && !may_grow) {
    stream_->pause();
  } else {
    stream_->resume();
  }
  if (!client_ended_ || has_said_all()) return;
  if (state_ == State::exchange) {
    const bool leaves =
        !listener_.settings.half_close && (exchange().has_whole_request() || exchange().awaits_its_turn());
    if (waiting_.empty() || leaves) exchange().on_client_end();
  } else if (waiting_.empty() || stream_->queued() == 0) {  // else what waits is taken once that has left
    drain();
  }
}

void H1Client::on_end() {
  client_ended_ = true;
  if (state_ == State::lingering) return close(false);
  go_on();
}

void H1Client::on_broken(int) {
  client_ended_ = true;
  if (state_ == State::exchange) return exchange().on_client_gone();
  close(false);
}

void H1Client::on_drained() {
  if (state_ == State::draining) return linger();
  if (state_ == State::exchange) exchange().on_client_drained();
  if (state_ == State::idle || state_ == State::head) {
    take_waiting();
    go_on();
  }
}

void H1Client::on_deadline() {
  if (state_ == State::head) {
    refuse({408, "the request's head did not come in time"});
  } else if (lag_.is_taken(stream_->queued(), context_.settings().timeouts)) {
    await(millis(context_.settings().timeouts.body));
  } else {
    close(false);
  }
}

void H1Client::shut_down() {
  if (state_ == State::idle && is_new_ && context_.shutting_down) return become_idle();
  if (state_ == State::idle && waiting_.empty()) {
    stream_->finish();
    return stream_->queued() == 0 ? close(false) : drain();
  }
  keep_alive_ = false;
}

void H1Client::close_now() {
  if (state_ == State::exchange) exchange().on_stop();
  close(false);
}

// ---- what goes out

void H1Client::send_interim(const http::ResponseHead& head) {
  http::write_response(head, {.via = context_.settings().via}, context_.to_client);
}

void H1Client::send_head(const http::ResponseHead& head, http::ResponseEdits edits) {
  const http::RequestHead& request = request_->head;
  const bool speaks_1_1 = request.minor_version >= 1;
  const bool has_length = head.body.kind == http::BodyKind::none || head.body.kind == http::BodyKind::length;
  delimited_ = has_length ? Delimited::by_length : speaks_1_1 ? Delimited::by_chunks : Delimited::by_close;
  edits.chunked = delimited_ == Delimited::by_chunks;
  edits.close = edits.close || !request.keep_alive || is_ending() || delimited_ == Delimited::by_close;
  edits.keep_alive = !edits.close && !speaks_1_1;
  keep_alive_ = !edits.close && head.status != 101;
  http::write_response(head, edits, context_.to_client);
}

void H1Client::send_body(std::string_view piece) {
  if (delimited_ == Delimited::by_chunks) {
    http::write_chunk(piece, context_.to_client);
  } else {
    context_.to_client.bytes(piece);
  }
}

void H1Client::send_end(const http::Fields& trailers) {
  if (delimited_ != Delimited::by_chunks) return;
  context_.to_client.text("0\r\n");
  http::write_trailers(trailers, {}, context_.to_client);
}

size_t H1Client::send_own(http::OwnReply reply) {
  const http::RequestHead& request = request_->head;
  reply.close = reply.close || !request.keep_alive || is_ending();
  reply.keep_alive = !reply.close && request.minor_version == 0;
  keep_alive_ = !reply.close;
  context_.to_client.clear();
  std::string text;
  const size_t body = http::write_own_reply(reply, text);
  context_.to_client.text(text);
  return body;
}

void H1Client::send_tunnel(std::string_view bytes) { context_.to_client.bytes(bytes); }

bool H1Client::flush() {
  if (context_.to_client.empty()) return true;
  const bool taken = stream_->write(context_.to_client.parts());
  context_.to_client.clear();
  return taken;
}

void H1Client::pull() {
  if (taking_) return;
  take_waiting();
  go_on();
}

void H1Client::finish_tunnel() { stream_->finish(); }

// ---- how it goes on

void H1Client::exchange_over(bool whole, bool request_ended) {
  context_.h1_requests.give_back(std::move(request_), context_.graveyard);
  if (!whole) return delimited_ == Delimited::by_close ? close(true) : drain();
  if (!keep_alive_ || !request_ended) return drain();
  become_idle();
  if (taking_) return;
  take_waiting();
  go_on();
}

void H1Client::become_idle() {
  state_ = State::idle;
  if (context_.shutting_down && !is_new_) return drain();
  await(context_.shutting_down ? kToBegin : millis(context_.settings().timeouts.idle));
}

void H1Client::drain() {
  state_ = State::draining;
  waiting_ = {};
  await(millis(context_.settings().timeouts.body));
  stream_->finish();
  if (stream_->queued() == 0) linger();
}

void H1Client::await(net::Millis at_most) {
  lag_.wait(stream_->queued(), context_.deadlines.now() + at_most, deadline_);
}

void H1Client::linger() {
  state_ = State::lingering;
  if (client_ended_) return close(false);
  stream_->resume();
  deadline_.set(context_.deadlines.now() + kLinger);
}

void H1Client::close(bool reset) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  deadline_.clear();
  waiting_ = {};
  if (!reset) stream_->finish();
  if (reset || stream_->queued() != 0) stream_.release()->reset();  // what is dropped has to be missed
  stream_.reset();
  own_connections_.drop_all();
  leave();
}

}  // namespace limpet::proxy
