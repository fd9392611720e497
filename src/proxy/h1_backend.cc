#include "src/proxy/h1_backend.h"

#include <spdlog/spdlog.h>

#include "src/http/chunk.h"
#include "src/proxy/backend_connections.h"

namespace limpet::proxy {

H1Backend::H1Backend(BackendConnections& home, routing::Slot slot, net::Deadlines& deadlines)
    : home_(home), deadline_(deadlines, *this), slot_(slot) {}

bool H1Backend::dial(const conf::Address& address, unsigned first, BackendEvents* events,
                     net::Millis patience, std::string preface, int& error) {
  belongs_to_client_ = !preface.empty();
  events_ = events;
  dial_.begin(home_, address, first, patience, std::move(preface));
  error = 0;
  return dial_next(error);
}

// At the next of its addresses.
bool H1Backend::dial_next(int& error) {
  stream_ = dial_.next(home_, slot_, this, deadline_, error);
  return stream_ != nullptr;
}

// ---- what goes out

void H1Backend::send_head(const http::RequestHead& request, const http::RequestEdits& edits) {
  state_ = State::head;
  to_head_ = request.is_head();
  chunked_ = request.body.kind == http::BodyKind::chunked;
  answered_ = keeps_ = false;
  searched_ = 0;
  stream_->mark();
  http::write_request(request, edits, home_.gathered());
}

void H1Backend::send_body(std::string_view piece) {
  if (chunked_) {
    http::write_chunk(piece, home_.gathered());
  } else {
    home_.gathered().bytes(piece);
  }
}

void H1Backend::send_end(const http::Fields& trailers, http::FieldSet drop) {
  if (!chunked_) return;
  home_.gathered().text("0\r\n");
  http::write_trailers(trailers, drop, home_.gathered());
}

void H1Backend::send_tunnel(std::string_view bytes) { home_.gathered().bytes(bytes); }

bool H1Backend::has_gathered() const { return !home_.gathered().empty(); }

bool H1Backend::flush() {
  const bool taken = !has_gathered() || stream_->write(home_.gathered().parts());
  home_.gathered().clear();
  return taken;
}

void H1Backend::release(net::Millis keep_alive, OwnConnections& client) {
  if (queued() != 0 || !reusable()) return abandon();
  home_.keep(std::unique_ptr<H1Backend>(this), keep_alive, client);
}

void H1Backend::abandon() {
  home_.gathered().clear();
  home_.close(std::unique_ptr<H1Backend>(this));
}

bool H1Backend::has_strayed() const { return state_ == State::ended && !partial_.empty(); }

bool H1Backend::reusable() const { return state_ == State::ended && keeps_ && partial_.empty(); }

// ---- what comes in

void H1Backend::on_connected() {
  deadline_.clear();
  if (const std::string& preface = dial_.preface(); !preface.empty() && !home_.seals()) {
    const iovec part{const_cast<char*>(preface.data()), preface.size()};
    stream_->write({&part, 1});
  }
  home_.prefer(slot_, dial_.index());
  events_->on_backend_connected();
}

void H1Backend::on_bytes(std::string_view bytes) {
  if (state_ == State::idle) return home_.stray(*this);
  answered_ = true;
  std::string gathered;  // stays until the batch's end: what is told is referred to until then
  if (!partial_.empty()) {
    gathered = std::move(partial_.append(bytes));
    partial_.clear();
    bytes = gathered;
  }
  const size_t taken = take(bytes);
  if (events_ != nullptr && taken < bytes.size()) partial_.assign(bytes.substr(taken));
  if (events_ != nullptr) events_->on_backend_batch_end();
}

// Takes what can be taken now; the rest is a head that is not whole, or what nobody asked for.
size_t H1Backend::take(std::string_view bytes) {
  size_t taken = 0;
  while (events_ != nullptr && taken < bytes.size()) {
    const std::string_view rest = bytes.substr(taken);
    if (state_ == State::tunnel) {
      events_->on_backend_tunnel(rest);
      return bytes.size();
    }
    if (state_ == State::ended) return taken;
    if (state_ == State::head) {
      const size_t size = take_head(rest);
      if (size == 0) return taken;
      taken += size;
      continue;
    }
    http::Fault broken;
    taken += parser_.feed(rest, *this, broken);
    if (broken) refuse(broken.what);
  }
  return taken;
}

size_t H1Backend::take_head(std::string_view bytes) {
  const http::HeadSearch search = http::find_head(bytes, searched_, kResponseLimits);
  if (search.fault) {
    refuse(search.fault.what);
    return 0;
  }
  if (search.size == 0) return 0;
  searched_ = 0;
  const std::string_view head = bytes.substr(0, search.size);
  if (const http::Fault wrong = parser_.parse_response(head, kResponseLimits, to_head_, head_)) {
    refuse(wrong.what);
    return 0;
  }
  if (!head_.interim()) {
    keeps_ = head_.keep_alive;
    state_ = parser_.body_ended() ? State::ended : State::body;
  }
  const bool ended = state_ == State::ended && head_.status != 101;
  events_->on_response_head(head_);
  if (ended && events_ != nullptr) events_->on_response_end({});
  return search.size;
}

void H1Backend::on_body(std::string_view piece) {
  if (events_ != nullptr) events_->on_response_body(piece);
}

void H1Backend::on_body_end(const http::Fields& trailers) {
  state_ = State::ended;
  if (events_ != nullptr) events_->on_response_end(trailers);
}

void H1Backend::on_end() {
  if (state_ == State::idle) return home_.drop(*this);
  if (state_ == State::tunnel) return events_->on_backend_tunnel_end();
  keeps_ = false;
  if (state_ == State::body && parser_.end_of_stream(*this)) {
    if (events_ != nullptr) events_->on_backend_batch_end();
    return;
  }
  if (state_ != State::ended) fault(BackendFault::closed, 0);
}

void H1Backend::on_drained() {
  if (events_ != nullptr) events_->on_backend_drained();
}

void H1Backend::on_broken(int error) {
  if (state_ == State::idle) return home_.drop(*this);
  keeps_ = false;
  if (state_ == State::ended) return;
  if (state_ != State::connecting) return fault(BackendFault::closed, error);
  if (!dial_next(error)) fault(BackendFault::connect_failed, error);
}

// What came is no answer. Why, only the log says; the client is answered 502 in any case.
void H1Backend::refuse(const char* what) {
  spdlog::debug("backend {}: {}", dial_.address().text(), what);
  fault(BackendFault::nonsense, 0);
}

void H1Backend::fault(BackendFault what, int error) { events_->on_backend_fault(what, error); }

void H1Backend::on_deadline() {
  if (state_ == State::idle) return home_.drop(*this);
  int error = UV_ETIMEDOUT;
  if (!dial_next(error)) fault(BackendFault::connect_failed, error);
}

}  // namespace limpet::proxy
