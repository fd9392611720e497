#include "src/proxy/exchange.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "src/http/chunk.h"
#include "src/proxy/context.h"

namespace limpet::proxy {

namespace {

// A request that must not be sent twice goes out on a used connection only if that was in use just now:
// backends close idle connections after two seconds (gunicorn), five (Node.js, Apache) or more, and a request
// that crosses with that is lost.
constexpr net::Millis kFreshlyUsed = 1000;

// How much of a request's body is kept so that it can be sent once more when a used connection turns out to
// be stale.
constexpr size_t kMostKept = 64 * 1024;

constexpr net::Millis kTouchEvery = 10'000;  // how often a tunnel keeps its session alive
constexpr int kRetryAfter = 5;         // seconds, for 503
constexpr size_t kMostIdLength = 128;  // of an X-Request-Id that is passed on
constexpr int kClientGone = 499;       // for the log only, as nginx writes it: no answer was sent

// Bytes of a reused exchange's buffers beyond which they are given back.
constexpr size_t kMostSpare = 16 * 1024;

void reset(std::string& buffer) {
  if (buffer.capacity() > kMostSpare) {
    buffer = {};
  } else {
    buffer.clear();
  }
}

bool is_zero(std::string_view number) {
  return !number.empty() && number.find_first_not_of('0') == std::string_view::npos;
}

bool passes_as_id(std::string_view id) {
  if (id.empty() || id.size() > kMostIdLength) return false;
  for (const char c : id) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&') return false;
  }
  return true;
}

net::Millis millis(conf::Duration duration) { return static_cast<net::Millis>(duration.count()); }

}  // namespace

Exchange::Exchange(Context& context) : context_(context), deadline_(context.deadlines, *this) {}
Exchange::~Exchange() = default;

net::Millis Exchange::now_ms() const { return context_.deadlines.now(); }

void Exchange::start(ClientSide& client) {
  client_ = &client;
  pool_ = nullptr;
  request_.clear();
  reset(head_);
  reset(sent_body_);
  own_request_id_.clear();
  request_id_ = {};
  identity_ = {};
  choice_ = {};
  tried_ = {};
  patience_ = {};
  started_unix_us_ = context_.clock.unix_us();
  started_us_ = context_.clock.monotonic_us();
  connect_us_ = connected_us_ = head_us_ = bytes_in_ = bytes_out_ = 0;
  end_ = "ok";
  status_ = 0;
  retries_ = 0;
  touch_at_ = 0;
  waiting_for_home_ = connected_ = fresh_only_ = fresh_again_ = sent_any_ = send_failed_ = keeps_body_ = false;
  request_ended_ = client_ended_ = backend_ended_ = response_begun_ = response_ended_ = whole_ = false;
  client_address_ = client.peer().address;
  phase_ = Phase::identify;
}

void Exchange::begin(ClientSide& client, std::string_view head) {
  start(client);
  head_.assign(head);
  const conf::Limits& limits = context_.settings().limits;
  const http::Fault fault =
      parser_.parse_request(head_, {limits.head, limits.target, limits.headers}, request_);
  settle_request_id();
  if (fault) {
    fail({fault.status, fault.what, "bad_request"});
  } else {
    request_ended_ = parser_.body_ended();
  }
  advance();
}

void Exchange::begin_refused(ClientSide& client, const http::Fault& fault) {
  start(client);
  settle_request_id();
  fail({fault.status, fault.what, fault.status == 408 ? "client_timeout" : "bad_request"});
  advance();
}

void Exchange::settle_request_id() {
  constexpr auto kName = http::FieldName::x_request_id;
  const auto& names = request_.fields.names;
  request_id_ = request_.fields.first(kName);
  const bool passes = passes_as_id(request_id_) && std::count(names.begin(), names.end(), kName) == 1;
  if (!passes) request_id_ = context_.new_request_id(own_request_id_);
}

// The step machine. Nothing may be touched after it returns: the exchange may be serving its next request
// already.
void Exchange::advance() {
  if (advancing_) return;
  advancing_ = true;
  while (step() == Step::go) {
  }
  advancing_ = false;
  if (phase_ != Phase::over) return;
  phase_ = Phase::none;
  client_->exchange_over(whole_, request_ended_);
}

Exchange::Step Exchange::step() {
  switch (phase_) {
    case Phase::identify:
      return identify();
    case Phase::choose:
      return choose();
    case Phase::connect:
      return connect();
    case Phase::send:
      return send();
    case Phase::relay:
    case Phase::tunnel:
      return relay();
    case Phase::account:
      return account();
    case Phase::none:
    case Phase::over:
      break;
  }
  return Step::wait;
}

Exchange::Step Exchange::identify() {
  const bool counts_hops = request_.method == "OPTIONS" || request_.method == "TRACE";
  if (counts_hops && is_zero(request_.fields.first(http::FieldName::max_forwards))) {
    const bool options = request_.method == "OPTIONS";
    fail({options ? 200 : 405, "Max-Forwards ends here", "ok"});
    return Step::go;
  }
  const ServedListener& listener = client_->listener();
  const size_t route = context_.routes().find(listener.place, request_.host, request_.target);
  if (route == routing::kNoPool) {
    fail({404, "no pool serves this host and path", "no_route"});
    return Step::go;
  }
  pool_ = &context_.pool(route);
  const uint64_t most = context_.settings().limits.body;
  if (most != 0 && request_.body.length > most) {
    fail({413, "the request's body is too large", "too_large"});
    return Step::go;
  }
  client_address_ = http::believed_client(client_->peer(), listener.settings, request_.fields);
  identity_ = pool_->router().identify(view(), pool_->fleet(), unix_seconds());
  tried_.patient = pool_->settings().patience != conf::Duration::zero();
  phase_ = Phase::choose;
  return Step::go;
}

Exchange::Step Exchange::choose() {
  if (waiting_for_home_) return Step::wait;
  const bool timed = context_.times_this_decision();
  const uint64_t began = timed ? context_.clock.monotonic_us() : 0;
  choice_ = pool_->router().choose(identity_, pool_->fleet(), tried_, unix_seconds());
  if (timed) pool_->meter().decision.add(context_.clock.monotonic_us() - began);
  pool_->meter().reasons[static_cast<size_t>(choice_.reason)].add();
  if (choice_) {
    pool_->meter().backends[choice_.slot].begun.add();
    fresh_only_ = false;
    phase_ = Phase::connect;
    return Step::go;
  }
  switch (choice_.reason) {
    case routing::Reason::away:
      if (!wait_for_home()) tried_.add(choice_.home);
      break;
    case routing::Reason::refused:
      fail({503, "the server that holds this session does not answer", "refused"});
      break;
    case routing::Reason::full:
      fail({503, "every server has all the sessions it may have", "full"});
      break;
    default:
      fail({503, "no server can be reached", "no_backend"});
  }
  return Step::go;
}

Exchange::Step Exchange::connect() {
  if (!backend_) {
    const net::Millis most_idle = request_.idempotent() ? net::kNever : kFreshlyUsed;
    if (!fresh_only_) backend_ = pool_->connections.take(choice_.slot, most_idle);
    connected_ = backend_ != nullptr;
    connect_us_ = connected_ ? started_us_ : context_.clock.monotonic_us();
    if (!connected_) {
      int error = 0;
      backend_ = pool_->connections.dial(pool_->fleet().backends[choice_.slot], choice_.slot, this, error);
      if (!backend_) {
        connect_failed(error);
        return Step::go;
      }
      deadline_.set(now_ms() + millis(pool_->settings().timeouts.connect));
    }
  }
  if (!connected_) return Step::wait;
  connected_us_ = backend_->reused() ? connect_us_ : context_.clock.monotonic_us();
  phase_ = Phase::send;
  return Step::go;
}

Exchange::Step Exchange::send() {
  sent_any_ = send_failed_ = false;
  keeps_body_ = keeps_body_ || bytes_in_ == 0;
  backend_->expect_response(this, request_.is_head());

  http::write_request(request_,
                      {.via = context_.settings().via,
                       .request_id = own_request_id_,
                       .hidden_cookie = pool_->cookie_name(),
                       .peer = client_->peer(),
                       .listener = client_->listener().settings},
                      context_.to_backend);
  phase_ = Phase::relay;
  if (!sent_body_.empty()) send_body_to_backend(sent_body_);
  if (request_ended_ && request_.body.kind == http::BodyKind::chunked) context_.to_backend.text("0\r\n\r\n");
  if (!sent_body_.empty()) flush_backend();  // what is pulled may be appended to it, and move it
  client_->pull();
  return Step::go;
}

Exchange::Step Exchange::relay() {
  if (send_failed_ && !sent_any_ && !response_begun_) {
    if (bytes_in_ != 0 && !keeps_body_) {
      fail({502, "the backend closed the connection before it answered", "backend_closed"});
    } else if (backend_->reused()) {
      send_again();
    } else {
      connect_failed(0);
    }
    return Step::go;
  }
  const bool ended =
      phase_ == Phase::tunnel ? client_ended_ && backend_ended_ && backend_->queued() == 0 : response_ended_;
  if (!ended) return Step::wait;
  whole_ = true;
  phase_ = Phase::account;
  return Step::go;
}

Exchange::Step Exchange::account() {
  deadline_.clear();
  if (choice_.reserved) pool_->router().release(choice_);
  choice_.reserved = false;
  if (backend_ && whole_ && request_ended_ && !send_failed_ && backend_->queued() == 0 &&
      backend_->reusable()) {
    pool_->connections.keep(std::move(backend_), millis(pool_->settings().timeouts.keep_alive));
  } else {
    drop_backend();
  }
  measure();
  log();
  phase_ = Phase::over;
  return Step::wait;
}

// ---- what the client does

bool Exchange::takes_body() const {
  if (!backend_ || send_failed_ || backend_->queued() != 0) return false;
  return phase_ == Phase::tunnel || (phase_ == Phase::relay && !request_ended_ && !response_ended_);
}

size_t Exchange::on_client_bytes(std::string_view bytes) {
  if (phase_ == Phase::tunnel) {
    bytes_in_ += bytes.size();
    context_.to_backend.bytes(bytes);
    return bytes.size();
  }
  http::Fault fault;
  const size_t taken = parser_.feed(bytes, *this, fault);
  if (fault) {
    fail({fault.status, fault.what, "bad_request"});
    advance();
  }
  return taken;
}

void Exchange::on_body(std::string_view piece) {
  if (phase_ != Phase::relay) return;
  bytes_in_ += piece.size();
  const uint64_t most = context_.settings().limits.body;
  if (most != 0 && bytes_in_ > most) return fail({413, "the request's body is too large", "too_large"});
  const bool may_go_again = !sent_any_ || request_.idempotent();
  keeps_body_ = keeps_body_ && may_go_again && bytes_in_ <= kMostKept;
  if (keeps_body_) sent_body_.append(piece);
  send_body_to_backend(piece);
}

void Exchange::on_body_end(const http::Fields& trailers) {
  if (phase_ != Phase::relay) return;
  request_ended_ = true;
  if (request_.body.kind != http::BodyKind::chunked) return;
  keeps_body_ = keeps_body_ && trailers.size() == 0;
  context_.to_backend.text("0\r\n");
  http::write_trailers(trailers, context_.to_backend);
}

void Exchange::send_body_to_backend(std::string_view piece) {
  if (request_.body.kind == http::BodyKind::chunked) {
    http::write_chunk(piece, context_.to_backend);
  } else {
    context_.to_backend.bytes(piece);
  }
}

void Exchange::on_client_batch_end() {
  if (phase_ == Phase::relay || phase_ == Phase::tunnel) flush_backend();
  advance();
}

void Exchange::on_client_end() {
  if (client_ended_) return;
  client_ended_ = true;
  if (phase_ == Phase::tunnel) {
    backend_->finish();
  } else if (!request_ended_) {
    fail({400, "the request's body was cut short", "client_gone"});
  }
  advance();
}

void Exchange::on_client_drained() {
  if (backend_ && connected_) backend_->resume();
  await_progress();
}

void Exchange::on_client_gone() {
  cut("client_gone");
  advance();
}

void Exchange::on_backend_withdrawn(const ServedPool& pool, routing::Slot slot) {
  if (pool_ != &pool || choice_.slot != slot || !backend_) return;
  fail({503, "the server was taken out of service", "backend_withdrawn"});
  advance();
}

void Exchange::on_stop() {
  fail({503, "the balancer is shutting down", "shutdown"});
  advance();
}

// ---- what the backend does

void Exchange::on_backend_connected() {
  connected_ = true;
  advance();
}

void Exchange::on_response_head(const http::ResponseHead& head) {
  if (head.interim()) {
    if (request_.minor_version >= 1) client_->send_interim(head);  // RFC 9110, section 15.2
    return;
  }
  if (head.status == 101 && (request_.upgrade.empty() || !request_ended_)) {
    fail({502, "the backend switched protocols unasked", "backend_nonsense"});
    return advance();  // no end of the batch will be told
  }
  begin_response(head);
  if (head.status == 101) {
    backend_->become_tunnel();
    if (client_ended_) backend_->finish();
    phase_ = Phase::tunnel;
  }
}

void Exchange::begin_response(const http::ResponseHead& head) {
  head_us_ = context_.clock.monotonic_us();
  const uint64_t unix_us = started_unix_us_ + (head_us_ - started_us_);
  const routing::Outcome outcome =
      pool_->router().account(identity_, choice_, pool_->fleet(), view(), {head.status, head.fields.list},
                            static_cast<uint32_t>(unix_us / 1'000'000));
  choice_.reserved = false;
  std::string set_cookie;
  if (outcome.token) {
    set_cookie.append(pool_->cookie_name()).append("=").append(*outcome.token).append(pool_->cookie_attributes());
  }
  judge_answer(head.status);
  client_->send_head(head, {.via = context_.settings().via,
                            .date = context_.clock.http_date(unix_us),
                            .set_cookie = set_cookie,
                            .close = !request_ended_});
  status_ = head.status;
  response_begun_ = true;
}

void Exchange::judge_answer(int status) {
  const auto& bad = pool_->settings().passive.status;
  const bool is_bad = std::any_of(bad.begin(), bad.end(), [&](const auto& range) { return range.contains(status); });
  if (is_bad) {
    pool_->failed(choice_.slot, BackendFailure::status);
  } else {
    pool_->worked(choice_.slot);
  }
}

void Exchange::on_response_body(std::string_view piece) {
  if (phase_ != Phase::relay) return;
  bytes_out_ += piece.size();
  client_->send_body(piece);
}

void Exchange::on_response_end(const http::Fields& trailers) {
  if (phase_ != Phase::relay) return;
  client_->send_end(trailers);
  response_ended_ = true;
}

void Exchange::on_backend_batch_end() {
  if (phase_ == Phase::relay || phase_ == Phase::tunnel) {
    flush_client();
    if (backend_ && client_->queued() != 0) backend_->pause();
    // What leads up to an answer earns it no more time.
    if (response_begun_ || !request_ended_) await_progress();
    if (phase_ == Phase::tunnel) client_->pull();
  }
  advance();
}

void Exchange::on_backend_tunnel(std::string_view bytes) {
  bytes_out_ += bytes.size();
  client_->send_tunnel(bytes);
}

void Exchange::on_backend_tunnel_end() {
  backend_ended_ = true;
  client_->finish_tunnel();
  advance();
}

void Exchange::on_backend_drained() {
  await_progress();
  client_->pull();
}

void Exchange::on_backend_fault(BackendFault fault, int error) {
  if (phase_ == Phase::connect) {
    connect_failed(error);
  } else if (phase_ == Phase::tunnel || response_begun_) {
    flush_client();
    const bool nonsense = fault == BackendFault::nonsense;
    if (phase_ != Phase::tunnel) pool_->failed(choice_.slot, nonsense ? BackendFailure::nonsense : BackendFailure::closed);
    cut(nonsense ? "backend_nonsense" : "backend_cut");
  } else if (fault == BackendFault::nonsense) {
    pool_->failed(choice_.slot, BackendFailure::nonsense);
    fail({502, "the backend's answer is not valid HTTP", "backend_nonsense"});
  } else if (can_send_again()) {
    send_again();
  } else {
    pool_->failed(choice_.slot, BackendFailure::closed);
    fail({502, "the backend closed the connection before it answered", "backend_closed"});
  }
  advance();
}

// ---- what goes wrong

void Exchange::on_deadline() {
  if (waiting_for_home_) {
    waiting_for_home_ = false;
  } else if (phase_ == Phase::connect) {
    connect_failed(0);
  } else if (phase_ == Phase::tunnel) {
    cut("tunnel_timeout");
  } else if (!response_begun_) {
    const bool client_lags = !request_ended_ && takes_body();
    if (!client_lags) pool_->failed(choice_.slot, BackendFailure::timeout);
    fail(client_lags ? Failure{408, "the request's body did not come in time", "client_timeout"}
                     : Failure{504, "the backend did not answer in time", "backend_timeout"});
  } else {
    const bool client_lags = client_->queued() != 0;
    if (!client_lags) pool_->failed(choice_.slot, BackendFailure::timeout);
    cut(client_lags ? "client_timeout" : "backend_timeout");
  }
  advance();
}

// The attempt to reach choice_ failed and nothing of the request was sent: its home again within patience,
// else another one. For what this process lacks no backend is to blame, and no session is moved.
void Exchange::connect_failed(int error) {
  drop_backend();
  if (error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM) {
    return fail({503, "the balancer cannot open another connection", "no_descriptors"});
  }
  pool_->failed(choice_.slot, BackendFailure::connect);
  pool_->meter().backends[choice_.slot].retried.add();
  pool_->meter().backends[choice_.slot].ended.add();
  ++retries_;
  pool_->router().release(choice_);
  const routing::Choice failed = std::exchange(choice_, {});
  phase_ = Phase::choose;
  const bool is_home = failed.reason == routing::Reason::bound || failed.reason == routing::Reason::token;
  if (!is_home || !wait_for_home()) tried_.add(failed.slot);
}

// Until it is time to look for the home again. False: patience is at an end, or there never was any.
bool Exchange::wait_for_home() {
  const uint64_t again_at = patience_.next_attempt(now_ms(), millis(pool_->settings().patience));
  waiting_for_home_ = again_at != 0;
  if (waiting_for_home_) deadline_.set(again_at);
  return waiting_for_home_;
}

// A used connection that ended before it said anything was most likely closed by a backend that had not seen
// the request (RFC 9112, section 9.3.1); a new one, by a backend that died. Only a request that may be
// repeated is, and on a new connection once at most: it may be what the backend dies of.
bool Exchange::can_send_again() const {
  const bool has_a_chance = backend_->reused() || !fresh_again_;
  return has_a_chance && !backend_->has_answered() && request_.idempotent() && keeps_body_;
}

// To the same backend: whether that is out of service shows when it is connected to.
void Exchange::send_again() {
  fresh_again_ = fresh_again_ || !backend_->reused();
  fresh_only_ = true;
  if (!backend_->reused()) pool_->failed(choice_.slot, BackendFailure::closed);
  drop_backend();
  pool_->meter().backends[choice_.slot].retried.add();
  ++retries_;
  phase_ = Phase::connect;
}

// Answers the client in the backend's place, or, where an answer has begun already, cuts it.
void Exchange::fail(const Failure& failure) {
  if (response_begun_) return cut(failure.end);
  drop_backend();
  end_ = failure.end;
  status_ = failure.status;
  response_begun_ = whole_ = true;
  bytes_out_ = client_->send_error({.status = failure.status,
                                    .what = failure.what,
                                    .request_id = request_id_,
                                    .accept = request_.fields.first(http::FieldName::accept),
                                    .date = context_.clock.http_date(context_.clock.unix_us()),
                                    .retry_after = failure.status == 503 ? kRetryAfter : 0,
                                    .close = !request_ended_,
                                    .head_only = request_.is_head()});
  phase_ = Phase::account;
  flush_client();
}

void Exchange::cut(const char* end) {
  drop_backend();
  context_.to_client.clear();
  end_ = end;
  if (!response_begun_) status_ = kClientGone;
  whole_ = false;
  phase_ = Phase::account;
}

void Exchange::drop_backend() {
  context_.to_backend.clear();
  connected_ = false;
  if (backend_) pool_->connections.close(std::move(backend_));
}

// ---- sending and waiting

void Exchange::flush_backend() {
  if (context_.to_backend.empty() || !backend_) return;
  if (backend_->write(context_.to_backend.parts())) {
    sent_any_ = true;
  } else {
    send_failed_ = true;
  }
  context_.to_backend.clear();
  await_progress();
}

void Exchange::flush_client() {
  if (client_->flush()) return;
  cut("client_gone");
}

// Waits for whoever has to move next.
void Exchange::await_progress() {
  if (phase_ != Phase::relay && phase_ != Phase::tunnel) return;
  const conf::PoolTimeouts& timeouts = pool_->settings().timeouts;
  conf::Duration wait = timeouts.body;
  if (phase_ == Phase::tunnel) {
    wait = timeouts.tunnel;
    touch_session();
  } else if (client_->queued() != 0 || (!response_begun_ && takes_body())) {
    wait = context_.settings().timeouts.body;
  } else if (!response_begun_) {
    wait = timeouts.head;
  }
  deadline_.set(now_ms() + millis(wait));
}

// A tunnel is one request, however long it lasts; while bytes flow its session is no idle one.
void Exchange::touch_session() {
  if (now_ms() < touch_at_) return;
  touch_at_ = now_ms() + kTouchEvery;
  pool_->router().touch(identity_, static_cast<uint32_t>(context_.clock.unix_us() / 1'000'000));
}

routing::RequestView Exchange::view() const {
  return {request_.method, request_.target, request_.fields.list, client_address_};
}

}  // namespace limpet::proxy
