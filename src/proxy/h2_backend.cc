#include "src/proxy/h2_backend.h"

#include <algorithm>
#include <utility>

#include "src/proxy/backend_connections.h"

namespace limpet::proxy {

namespace {

constexpr size_t kMostCalls = 1000;      // on one connection, whatever the backend takes
constexpr net::Millis kPatience = 5000;  // with a connection on which a call was not answered

constexpr http::H2Session::Settings kSettings{.streams = 0,
                                              .head = kResponseLimits,
                                              .stream_window = 256 * 1024,
                                              // Never what holds one client up for another's sake.
                                              .connection_window = kMostCalls * 256 * 1024};

}  // namespace

H2Backend::H2Backend(BackendConnections& home, routing::Slot slot, net::Deadlines& deadlines)
    : home_(home),
      slot_(slot),
      session_(http::H2Session::Role::client, *this, kSettings, deadlines.now()),
      deadline_(deadlines, *this) {}

bool H2Backend::dial(const conf::Address& address, unsigned first, net::Millis patience, int& error) {
  dial_.begin(home_, address, first, patience, {});
  error = 0;
  return dial_next(error);
}

bool H2Backend::dial_next(int& error) {
  stream_ = dial_.next(home_, slot_, this, deadline_, error);
  return stream_ != nullptr;
}

H2Call* H2Backend::call(BackendEvents* events) {
  const bool is_usable = state_ == State::connecting || (state_ == State::open && !suspected_);
  if (!is_usable || takes_no_more_ || calls_ >= most_calls()) return nullptr;
  auto* const made = new H2Call(*this, events, state_ == State::open);
  made->prev_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = made;
  last_ = made;
  ++calls_;
  if (state_ == State::open) deadline_.clear();
  return made;
}

// Before its SETTINGS have come, as many as a connection to this backend took last.
size_t H2Backend::most_calls() const {
  const size_t most = std::min(session_.most_streams(), session_.streams_left());
  return std::min(kMostCalls,
                  session_.has_settings() ? most : std::min(most, home_.http2().most_streams(slot_)));
}

bool H2Backend::is_idle() const {
  const H2Call* call = first_;
  while (call != nullptr && call->events_ == nullptr) call = call->next_;
  return call == nullptr;
}

void H2Backend::remove(H2Call& call) {
  (call.prev_ != nullptr ? call.prev_->next_ : first_) = call.next_;
  (call.next_ != nullptr ? call.next_->prev_ : last_) = call.prev_;
  if (told_ == &call) told_ = nullptr;
  --calls_;
}

// What has not agreed to HTTP/2 is not spoken to (RFC 9113, section 3.2): it may be another's port.
void H2Backend::on_connected() {
  if (!stream_->may_speak_http2()) return on_broken(UV_EPROTO);
  deadline_.clear();
  state_ = State::open;
  home_.prefer(slot_, dial_.index());
  for (H2Call* next = first_; next != nullptr;) {
    H2Call& call = *std::exchange(next, next->next_);
    if (call.events_ != nullptr) call.events_->on_backend_connected();
  }
  go_on();
}

void H2Backend::on_bytes(std::string_view bytes) {
  const bool is_sound = session_.feed(bytes, home_.now());
  turn_to(nullptr);
  if (!is_sound) fail_all(BackendFault::nonsense, 0);
  go_on();
}

// What came for two calls in turn would mix on its way to their clients.
void H2Backend::turn_to(H2Call* call) {
  if (told_ == call) return;
  if (H2Call* const before = std::exchange(told_, call)) before->end_batch();
}

void H2Backend::on_settings() {
  home_.http2().heard_of(slot_, session_.most_streams());
  for (H2Call* call = first_; call != nullptr; call = call->next_) {
    if (!call->held_.empty()) call->submit();
  }
}

void H2Backend::on_end() {
  fail_all(BackendFault::closed, 0);
  close(false);
}

void H2Backend::on_broken(int error) {
  if (state_ != State::connecting) {
    fail_all(BackendFault::closed, error);
    return close(false);
  }
  if (dial_next(error)) return;
  fail_all(BackendFault::connect_failed, error);
  close(false);
}

void H2Backend::on_ping_answered() {
  suspected_ = false;
  deadline_.clear();
}

void H2Backend::on_deadline() {
  if (state_ == State::connecting) return on_broken(UV_ETIMEDOUT);
  if (suspected_) fail_all(BackendFault::closed, 0);
  close(false);
}

void H2Backend::send() {
  if (sending_ || session_.is_feeding() || state_ == State::connecting || stream_ == nullptr) return;
  sending_ = true;
  session_.send(*stream_, home_.gathered(), takes_no_more_);
  sending_ = false;
  if (telling_) return;
  telling_ = true;
  for (bool has_told = true; has_told && std::exchange(has_lagging_, false);) {
    has_told = false;
    for (H2Call* next = first_; next != nullptr;)
      has_told = std::exchange(next, next->next_)->tell_drained() || has_told;
  }
  telling_ = false;
}

// After every event.
void H2Backend::go_on() {
  if (state_ == State::closed || session_.is_feeding() || sending_ || telling_) return;
  if (state_ == State::connecting) {
    if (first_ == nullptr) close(false);
    return;
  }
  send();
  for (H2Call* next = first_; next != nullptr;) {
    H2Call& call = *std::exchange(next, next->next_);
    if (call.closed_) call.settle();
  }
  if (session_.is_broken() || session_.is_over()) {
    fail_all(session_.is_over() ? BackendFault::nonsense : BackendFault::closed, 0);
    return close(false);
  }
  if (first_ != nullptr || suspected_) return;
  if (state_ == State::leaving || most_calls() == 0) return close(false);
  if (!deadline_.is_set()) deadline_.set(home_.now() + keep_alive_);
}

// Once this event is over: an exchange that gives its call up is no place to hear of other calls.
void H2Backend::go_on_soon() {
  if (state_ != State::closed && !std::exchange(goes_on_soon_, true)) home_.polls().await(*this);
}

void H2Backend::on_polled() {
  goes_on_soon_ = false;
  go_on();
}

// Whether the backend is there at all.
void H2Backend::suspect() {
  if (std::exchange(suspected_, true)) return;
  session_.ping();
  deadline_.set(home_.now() + kPatience);
}

void H2Backend::retire() {
  if (state_ == State::open) state_ = State::leaving;
  go_on();
}

void H2Backend::fail_all(BackendFault what, int error) {
  turn_to(nullptr);
  if (state_ != State::connecting) state_ = State::leaving;
  while (first_ != nullptr) {
    H2Call& call = *first_;
    if (call.id() != 0) session_.forget(call);
    call.leave();
    if (!call.ended_) call.fault(what, error);
  }
}

void H2Backend::close(bool reset) {
  const State before = std::exchange(state_, State::closed);
  if (before == State::closed) return;
  deadline_.clear();
  fail_all(BackendFault::closed, 0);
  state_ = State::closed;
  if (goes_on_soon_) home_.polls().forget(*this);
  if (stream_ != nullptr && !reset && before != State::connecting) stream_->finish();
  if (stream_ != nullptr && reset) stream_.release()->reset();
  stream_.reset();
  home_.http2().drop(*this);
}

}  // namespace limpet::proxy
