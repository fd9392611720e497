#include "src/proxy/h2_client.h"

#include <utility>

#include "src/proxy/linger.h"

namespace limpet::proxy {

namespace {

constexpr net::Millis kNotice = 1000;  // until a client that does not answer is taken to have seen it

http::HeadLimits heads_of(const conf::Limits& limits) { return {limits.head, limits.target, limits.headers}; }

}  // namespace

H2Client::H2Client(Context& context, ServedListener& listener, http::Peer peer, ClientConnections& home,
                   Admission admission)
    : ClientConnection(context, listener, home, std::move(admission)),
      session_(http::H2Session::Role::server, *this,
               {.streams = context.settings().limits.streams, .head = heads_of(context.settings().limits)},
               context.deadlines.now()),
      peer_(std::move(peer)),
      deadline_(context.deadlines, *this) {}

H2Client::~H2Client() = default;

void H2Client::begin(net::StreamPtr stream, std::string_view came) {
  stream_ = std::move(stream);
  stream_->start(this);
  set_deadline();
  if (!came.empty()) on_bytes(came);
}

// ---- what comes in

void H2Client::on_bytes(std::string_view bytes) {
  if (has_said_all()) {
    lingered_ += bytes.size();
    if (lingered_ > kMostLingered) close(false);
    return;
  }
  session_.feed(bytes, context_.deadlines.now());
  turn_to(nullptr);
  start_requests();
  go_on();
}

// Requests start once all that came with them has been told: those that are cancelled there have cost nothing
// but their heads.
void H2Client::start_later(H2Request& request) {
  if (to_start_ == nullptr) to_start_ = &request;
}

void H2Client::start_requests() {
  while (to_start_ != nullptr) {
    H2Request& request = *std::exchange(to_start_, to_start_->prev_);
    if (!request.is_to_start()) continue;
    request.start();
    request.end_batch();
  }
}

// What nghttp2 tells of two requests in turn would mix on their way to their backends.
void H2Client::turn_to(H2Request* request) {
  if (told_ == request) return;
  if (H2Request* const before = std::exchange(told_, request)) before->end_batch();
}

http::H2Session::Stream* H2Client::on_new_stream() {
  if (is_ending() && state_ == State::open) shut_down();
  const conf::Limits& limits = context_.settings().limits;
  session_.limit(limits.streams, heads_of(limits));
  H2Request* const made = context_.h2_requests.take(context_).release();
  made->begin(*this);
  made->prev_ = nullptr;
  made->next_ = first_;
  if (first_ != nullptr) first_->prev_ = made;
  first_ = made;
  return made;
}

void H2Client::remove(H2Request& request) {
  (request.prev_ != nullptr ? request.prev_->next_ : first_) = request.next_;
  if (request.next_ != nullptr) request.next_->prev_ = request.prev_;
  if (told_ == &request) told_ = nullptr;
  if (to_start_ == &request) to_start_ = request.prev_;
  context_.h2_requests.give_back(std::unique_ptr<H2Request>(&request), context_.graveyard);
}

void H2Client::on_abuse(http::H2Abuse abuse) { context_.abused_http2(listener_, abuse, peer_.text); }

void H2Client::on_end() {
  if (state_ == State::lingering) return close(false);
  client_ended_ = true;
  if (has_said_all()) return;
  turn_to(nullptr);
  end_requests();
  send();
  drain();
}

void H2Client::on_broken(int) { close(false); }

void H2Client::on_drained() {
  if (state_ == State::draining) return linger();
  go_on();
}

// ---- what goes out

void H2Client::send() {
  if (sending_ || session_.is_feeding() || stream_ == nullptr || takes_no_more_ || has_said_all()) return;
  sending_ = true;
  session_.send(*stream_, context_.to_client, takes_no_more_);
  sending_ = false;
  if (!std::exchange(has_lagging_, false)) return;
  for (H2Request* next = first_; next != nullptr;) std::exchange(next, next->next_)->look_whether_drained();
}

// Once all that this poll brought has been handled.
void H2Client::go_on_soon() {
  if (state_ != State::closed && !std::exchange(goes_on_soon_, true)) context_.polls.await(*this);
}

void H2Client::on_polled() {
  goes_on_soon_ = false;
  go_on();
}

// After every event.
void H2Client::go_on() {
  if (session_.is_feeding() || sending_ || ending_) return;
  send();
  if (has_said_all()) return;
  const bool is_cut = session_.is_broken() || takes_no_more_;
  if (is_cut) end_requests();
  if (is_cut || session_.is_over()) return drain();
  set_deadline();
}

// ---- how it ends

void H2Client::set_deadline() {
  if (state_ == State::noticed) return;
  const Waits waits = session_.is_in_head() ? Waits::head : first_ == nullptr ? Waits::idle : Waits::no;
  if (std::exchange(waits_, waits) == waits && deadline_.is_set() == (waits != Waits::no)) return;
  const conf::ClientTimeouts& timeouts = context_.settings().timeouts;
  if (waits == Waits::no) return deadline_.clear();
  await(millis(waits == Waits::head ? timeouts.head : timeouts.idle));
}

void H2Client::on_deadline() {
  switch (state_) {
    case State::noticed:
      on_ping_answered();
      return go_on();
    case State::open:
    case State::leaving:
      if (waits_ == Waits::head) {
        session_.go_away(http::H2Error::enhance_your_calm);
      } else if (lag_.is_taken(stream_->queued(), context_.settings().timeouts)) {
        waits_ = Waits::no;
      } else if (stream_->queued() != 0) {
        return close(false);
      } else {
        session_.go_away();
      }
      return go_on();
    default:
      if (lag_.is_taken(stream_->queued(), context_.settings().timeouts))
        return await(millis(context_.settings().timeouts.body));
      close(false);
  }
}

void H2Client::shut_down() {
  if (state_ != State::open) return;
  state_ = State::noticed;
  session_.give_notice();
  deadline_.set(context_.deadlines.now() + kNotice);
  go_on();
}

void H2Client::on_ping_answered() {
  if (state_ != State::noticed) return;
  state_ = State::leaving;
  waits_ = Waits::no;
  deadline_.clear();
  session_.go_away();
}

void H2Client::close_now() {
  ending_ = true;
  for (H2Request* next = first_; next != nullptr;) {
    H2Request& request = *std::exchange(next, next->next_);
    if (request.has_exchange()) request.exchange().on_stop();
  }
  send();
  close(false);
}

void H2Client::withdraw(const ServedPool& pool, routing::Slot slot) {
  ending_ = true;
  for (H2Request* next = first_; next != nullptr;) {
    H2Request& request = *std::exchange(next, next->next_);
    if (request.has_exchange()) request.exchange().on_backend_withdrawn(pool, slot);
  }
  ending_ = false;
  go_on();
}

// Their client is gone.
void H2Client::end_requests() {
  const bool was_ending = std::exchange(ending_, true);
  while (first_ != nullptr) {
    session_.forget(*first_);
    first_->on_closed(http::H2Error::cancel, false);
  }
  ending_ = was_ending;
}

void H2Client::drain() {
  state_ = State::draining;
  await(millis(context_.settings().timeouts.body));
  stream_->finish();
  if (stream_->queued() == 0) linger();
}

void H2Client::await(net::Millis at_most) {
  lag_.wait(stream_->queued(), context_.deadlines.now() + at_most, deadline_);
}

void H2Client::linger() {
  state_ = State::lingering;
  if (client_ended_ || takes_no_more_) return close(false);
  deadline_.set(context_.deadlines.now() + kLinger);
}

void H2Client::close(bool reset) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  if (std::exchange(goes_on_soon_, false)) context_.polls.forget(*this);
  told_ = nullptr;
  takes_no_more_ = true;
  end_requests();
  deadline_.clear();
  if (!reset) stream_->finish();
  if (reset || stream_->queued() != 0) stream_.release()->reset();  // what is dropped has to be missed
  stream_.reset();
  own_connections_.drop_all();
  ClientConnection::leave();
}

}  // namespace limpet::proxy
