#include "src/proxy/client_connection.h"

#include "src/http/chunk.h"
#include "src/proxy/proxy_protocol.h"

namespace limpet::proxy {

namespace {

// After the last answer: how long, and how many bytes, to go on reading before closing (RFC 9112,
// section 9.6).
constexpr net::Millis kLinger = 2000;
constexpr size_t kMostLingered = 16 * 1024 * 1024;

// Whether a PROXY protocol header comes first.
bool tells_of_others(const conf::Listener& listener, const conf::IpAddress& peer) {
  const auto& from = listener.proxy_protocol_from;
  return listener.proxy_protocol && (from.empty() || conf::contain(from, peer));
}

}  // namespace

ClientConnection::ClientConnection(Context& context, ServedListener& listener, http::Peer peer,
                                   ClientConnections& home)
    : context_(context),
      listener_(listener),
      home_(home),
      peer_(std::move(peer)),
      deadline_(context.deadlines, *this),
      state_(tells_of_others(listener.settings, peer_.address) ? State::proxy_header : State::idle) {
  ++listener_.connections;
  listener_.meter->connections.fetch_add(1, std::memory_order_relaxed);
}

ClientConnection::~ClientConnection() = default;

void ClientConnection::attach(net::StreamPtr stream) {
  stream_ = std::move(stream);
  const conf::ClientTimeouts& timeouts = context_.settings().timeouts;
  const bool expects_header = state_ == State::proxy_header;
  deadline_.set(context_.deadlines.now() + millis(expects_header ? timeouts.head : timeouts.idle));
}

// ---- what comes in

void ClientConnection::on_bytes(std::string_view bytes) {
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

void ClientConnection::keep(std::string_view rest) {
  if (!rest.empty() && !has_said_all()) waiting_.assign(rest);
}

// What waits may be taken now: an exchange is over, or takes more of its body.
void ClientConnection::take_waiting() {
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
size_t ClientConnection::take(std::string_view bytes) {
  if (taking_) return 0;
  taking_ = true;
  size_t taken = 0;
  for (;;) {
    const std::string_view rest = bytes.substr(taken);
    if (state_ == State::exchange) {
      const bool takes = !rest.empty() && exchange_->takes_body();
      if (!takes) {
        exchange_->on_client_batch_end();
        if (state_ == State::exchange) break;
        continue;
      }
      taken += exchange_->on_client_bytes(rest);
      continue;
    }
    if (rest.empty() || stream_ == nullptr || stream_->queued() != 0) break;
    size_t used = 0;
    if (state_ == State::proxy_header)
      used = take_proxy_header(rest);
    else if (state_ == State::idle || state_ == State::head)
      used = take_head(rest);
    if (used == 0) break;
    taken += used;
  }
  taking_ = false;
  return taken;
}

size_t ClientConnection::take_proxy_header(std::string_view bytes) {
  const ProxyHeader header = parse_proxy_header(bytes);
  if (header.status == ProxyHeader::Status::partial) return 0;
  if (header.status == ProxyHeader::Status::wrong) {
    context_.refused_header(listener_.settings.name, peer_.text, "without a valid PROXY protocol header");
    close(false);  // whoever this is speaks no protocol that has errors to answer with
    return 0;
  }
  if (header.source) {
    const bool is_named = !listener_.settings.proxy_protocol_from.empty();
    peer_.address = *header.source;
    peer_.text = peer_.address.text();
    peer_.trusted = is_named && http::is_trusted(listener_.settings, peer_.address);
  }
  become_idle();
  return header.size;
}

size_t ClientConnection::take_head(std::string_view bytes) {
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
    searched_ = 0;
    deadline_.set(context_.deadlines.now() + millis(context_.settings().timeouts.head));
  }
  const http::HeadSearch search =
      http::find_head(bytes, searched_, {limits.head, limits.target, limits.headers});
  if (search.fault) {
    refuse(search.fault);
    return bytes.size();
  }
  if (search.size != 0) new_exchange().begin(*this, bytes.substr(0, search.size));
  return search.size;
}

Exchange& ClientConnection::new_exchange() {
  state_ = State::exchange;
  deadline_.clear();
  delimited_ = Delimited::by_length;
  exchange_ = context_.new_exchange();
  return *exchange_;
}

void ClientConnection::refuse(const http::Fault& fault) { new_exchange().begin_refused(*this, fault); }

// After every event: reads on or not, and tells the exchange that its client has nothing more to send.
void ClientConnection::go_on() {
  if (state_ == State::closed) return;
  const bool may_grow =
      state_ == State::head || state_ == State::proxy_header;  // these have limits of their own
  if (waiting_.size() >= kMostWaiting && !may_grow) {
    stream_->pause();
  } else {
    stream_->resume();
  }
  if (!client_ended_ || has_said_all()) return;
  if (state_ == State::exchange) {
    const bool leaves = !listener_.settings.half_close && exchange_->has_whole_request();
    if (waiting_.empty() || leaves) exchange_->on_client_end();
  } else if (waiting_.empty() || stream_->queued() == 0) {  // else what waits is taken once that has left
    drain();
  }
}

void ClientConnection::on_end() {
  client_ended_ = true;
  if (state_ == State::lingering) return close(false);
  go_on();
}

void ClientConnection::on_broken(int) {
  client_ended_ = true;
  if (state_ == State::exchange) return exchange_->on_client_gone();
  close(false);
}

void ClientConnection::on_drained() {
  if (state_ == State::draining) return linger();
  if (state_ == State::exchange) exchange_->on_client_drained();
  if (state_ == State::idle) {
    take_waiting();
    go_on();
  }
}

void ClientConnection::on_deadline() {
  if (state_ == State::head) {
    refuse({408, "the request's head did not come in time"});
  } else {
    close(false);
  }
}

void ClientConnection::shut_down() {
  if (state_ == State::idle && waiting_.empty()) {
    stream_->finish();
    return stream_->queued() == 0 ? close(false) : drain();
  }
  keep_alive_ = false;
}

void ClientConnection::close_now() {
  if (state_ == State::exchange) exchange_->on_stop();
  close(false);
}

// ---- what goes out

void ClientConnection::send_interim(const http::ResponseHead& head) {
  http::write_response(head, {.via = context_.settings().via}, context_.to_client);
}

void ClientConnection::send_head(const http::ResponseHead& head, http::ResponseEdits edits) {
  const http::RequestHead& request = exchange_->request();
  const bool speaks_1_1 = request.minor_version >= 1;
  const bool has_length = head.body.kind == http::BodyKind::none || head.body.kind == http::BodyKind::length;
  delimited_ = has_length ? Delimited::by_length : speaks_1_1 ? Delimited::by_chunks : Delimited::by_close;
  edits.chunked = delimited_ == Delimited::by_chunks;
  edits.close = edits.close || !request.keep_alive || is_ending() || delimited_ == Delimited::by_close;
  edits.keep_alive = !edits.close && !speaks_1_1;
  keep_alive_ = !edits.close && head.status != 101;
  http::write_response(head, edits, context_.to_client);
}

void ClientConnection::send_body(std::string_view piece) {
  if (delimited_ == Delimited::by_chunks) {
    http::write_chunk(piece, context_.to_client);
  } else {
    context_.to_client.bytes(piece);
  }
}

void ClientConnection::send_end(const http::Fields& trailers) {
  if (delimited_ != Delimited::by_chunks) return;
  context_.to_client.text("0\r\n");
  http::write_trailers(trailers, {}, context_.to_client);
}

size_t ClientConnection::send_error(http::ErrorReply reply) {
  const http::RequestHead& request = exchange_->request();
  reply.close = reply.close || !request.keep_alive || is_ending();
  reply.keep_alive = !reply.close && request.minor_version == 0;
  keep_alive_ = !reply.close;
  context_.to_client.clear();
  std::string text;
  const size_t body = http::write_error_reply(reply, text);
  context_.to_client.text(text);
  return body;
}

void ClientConnection::send_tunnel(std::string_view bytes) { context_.to_client.bytes(bytes); }

bool ClientConnection::flush() {
  if (context_.to_client.empty()) return true;
  const bool taken = stream_->write(context_.to_client.parts());
  context_.to_client.clear();
  return taken;
}

void ClientConnection::pull() {
  if (taking_) return;
  take_waiting();
  go_on();
}

void ClientConnection::finish_tunnel() { stream_->finish(); }

// ---- how it goes on

void ClientConnection::exchange_over(bool whole, bool request_ended) {
  context_.recycle(std::move(exchange_));
  if (!whole) return delimited_ == Delimited::by_close ? close(true) : drain();
  if (!keep_alive_ || !request_ended) return drain();
  become_idle();
  if (taking_) return;
  take_waiting();
  go_on();
}

void ClientConnection::become_idle() {
  state_ = State::idle;
  if (context_.shutting_down) return drain();
  deadline_.set(context_.deadlines.now() + millis(context_.settings().timeouts.idle));
}

void ClientConnection::drain() {
  state_ = State::draining;
  waiting_ = {};
  deadline_.set(context_.deadlines.now() + millis(context_.settings().timeouts.body));
  stream_->finish();
  if (stream_->queued() == 0) linger();
}

void ClientConnection::linger() {
  state_ = State::lingering;
  if (client_ended_) return close(false);
  stream_->resume();
  deadline_.set(context_.deadlines.now() + kLinger);
}

void ClientConnection::close(bool reset) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  deadline_.clear();
  waiting_ = {};
  if (!reset) stream_->finish();
  if (reset || stream_->queued() != 0) stream_.release()->reset();  // what is dropped has to be missed
  stream_.reset();
  own_connections_.drop_all();
  --listener_.connections;
  listener_.meter->connections.fetch_sub(1, std::memory_order_relaxed);
  home_.on_client_closed(*this);
  context_.graveyard.bury(std::unique_ptr<net::Mortal>(this));
}

}  // namespace limpet::proxy
