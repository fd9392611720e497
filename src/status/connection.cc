#include "src/status/connection.h"

#include "src/http/own_reply.h"

namespace limpet::status {

Connection::Connection(net::Deadlines& deadlines, ConnectionOwner& owner, uint64_t id, std::string peer)
    : owner_(owner), id_(id), peer_(std::move(peer)), deadline_(deadlines, *this), deadlines_(deadlines) {}

void Connection::attach(net::StreamPtr stream) {
  stream_ = std::move(stream);
  wait(State::idle, kIdle);
}

void Connection::attach_tls(net::StreamPtr stream) {
  stream_ = std::move(stream);
  tls_ = true;
  wait(State::handshake, kHandshake);
}

void Connection::wait(State state, net::Millis at_most) {
  state_ = state;
  static thread_local uint64_t stirred = 0;
  stirred_ = ++stirred;
  since_ = deadlines_.now();
  deadline_.set(since_ + at_most);
}

// Whoever is slow to send a request or to read its answer is older than who has just come: all of them are
// told apart by age alone, so that the newest has its chance.
Connection::Worth Connection::worth() const {
  using enum Use;
  switch (state_) {
    case State::handshake:
    case State::idle:
      return {deadlines_.now() - since_ < kFresh ? asks : nothing, stirred_};
    case State::lingering:
    case State::closed:
      return {answered, stirred_};
    case State::streaming:
      return {watches, stirred_};
    default:
      return {asks, stirred_};
  }
}

// --- What comes in ---

void Connection::on_connected() { wait(State::idle, kIdle); }

void Connection::on_bytes(std::string_view bytes) {
  if (state_ == State::streaming || state_ == State::lingering) return;
  in_.append(bytes);
  proceed();
  if (state_ == State::waiting && in_.size() >= kMostPipelined) stream_->pause();
}

void Connection::on_end() {
  ended_ = true;
  if (state_ != State::answering && state_ != State::waiting) close();
}

void Connection::proceed() {
  if (proceeding_) return;
  proceeding_ = true;
  proceed_while_possible();
  proceeding_ = false;
}

void Connection::proceed_while_possible() {
  while (state_ == State::idle || state_ == State::head || state_ == State::body) {
    if (!(state_ == State::body ? take_body() : take_head())) return;
    answer_request();
  }
}

// True once a request is there as a whole.
bool Connection::take_head() {
  if (in_.empty()) return false;
  if (state_ == State::idle) wait(State::head, kReceiving);
  const http::HeadSearch search = http::find_head(in_, searched_, kLimits);
  if (search.fault) {
    refuse(search.fault);
    return false;
  }
  if (search.size == 0) return false;

  head_bytes_.assign(in_, 0, search.size);
  in_.erase(0, search.size);
  searched_ = 0;
  body_size_ = 0;
  head_.clear();
  if (const http::Fault fault = parser_.parse_request(head_bytes_, kLimits, head_)) {
    refuse(fault);
    return false;
  }
  if (parser_.body_ended()) return true;
  if (in_.empty() && head_.fields.has(http::FieldName::expect)) write("HTTP/1.1 100 Continue\r\n\r\n");
  state_ = State::body;
  return take_body();
}

bool Connection::take_body() {
  http::Fault fault;
  in_.erase(0, parser_.feed(in_, *this, fault));
  if (!fault && body_size_ > kMostBody) fault = {413, "the body is too large"};
  if (!fault) return parser_.body_ended();
  refuse(fault);
  return false;
}

void Connection::on_body(std::string_view piece) { body_size_ += piece.size(); }

// --- What goes out ---

void Connection::answer_request() {
  Ask ask{.method = head_.method, .target = head_.target, .host = head_.host, .peer = peer_, .tls = tls_};
  for (const http::Field& field : head_.fields.list) {
    if (equals_ignoring_case(field.name, "Authorization")) ask.authorization = field.value;
    if (equals_ignoring_case(field.name, "X-Limpet")) ask.on_behalf = field.value;
  }
  keep_alive_ = head_.keep_alive && head_.minor_version != 0;
  state_ = State::waiting;
  deadline_.clear();
  owner_.on_asked(*this, ask);
}

void Connection::answer(const Answer& answer) {
  send(answer);
  proceed();
}

void Connection::refuse(const http::Fault& fault) {
  head_.clear();
  keep_alive_ = false;
  send(failure(fault.status, fault.what));
}

void Connection::send(const Answer& answer) {
  const bool streams = answer.events && !head_.is_head();
  std::string out = "HTTP/1.1 " + std::to_string(answer.status) + " ";
  out.append(http::reason_phrase(answer.status)).append("\r\n");
  http::add_field(out, "Content-Type", answer.type);
  if (!answer.events) http::add_field(out, "Content-Length", std::to_string(answer.body.size()));
  http::add_field(out, "Cache-Control", "no-store");
  http::add_field(out, "X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : answer.fields) http::add_field(out, name, value);
  if (answer.events || answer.last) keep_alive_ = false;  // the events' end is the connection's
  if (!keep_alive_) http::add_field(out, "Connection", "close");
  out.append("\r\n");
  if (!head_.is_head()) out.append(answer.body);

  wait(streams ? State::streaming : State::answering, kSending);
  if (!write(out)) return close();
  if (stream_->queued() == 0) return settle();
  streams ? stream_->resume() : stream_->pause();
}

bool Connection::write(std::string_view bytes) {
  const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  return stream_->write({&part, 1});
}

void Connection::send_event(const std::string& event) {
  if (stream_->queued() != 0) return;
  deadline_.set(deadlines_.now() + kSending);
  if (!write(event)) close();
}

void Connection::on_drained() {
  settle();
  proceed();
}

// All that was to be said has left.
void Connection::settle() {
  if (state_ == State::streaming) {
    deadline_.clear();
    stream_->resume();
  } else if (state_ != State::answering) {
    return;
  } else if (!keep_alive_ || ended_) {
    linger();
  } else {
    wait(State::idle, kIdle);
    stream_->resume();
  }
}

void Connection::linger() {
  stream_->finish();
  if (stream_->queued() != 0) return;
  if (ended_) return close();
  in_.clear();
  wait(State::lingering, kLinger);
  stream_->resume();
}

// --- Its end ---

void Connection::on_deadline() {
  if (state_ != State::head && state_ != State::body) return close();
  refuse(http::Fault{408, "the request did not come whole in time"});
}

void Connection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  deadline_.clear();
  stream_.reset();
  owner_.on_closed(*this);
}

}  // namespace limpet::status
