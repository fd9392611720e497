#include "src/proxy/exchange.h"

#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "conf/normal_path.h"
#include "src/http/connection_auth.h"
#include "src/http/grpc.h"
#include "src/http/trace_context.h"
#include "src/net/socket_address.h"
#include "src/proxy/context.h"
#include "src/proxy/proxy_protocol.h"

namespace limpet::proxy {

namespace {

// A request that must not be sent twice goes out on a used connection only if that was in use just now:
// backends close idle connections after two seconds (gunicorn), five (Node.js, Apache) or more, and a request
// that crosses with that is lost.
constexpr net::Millis kFreshlyUsed = 1000;

// After these whatever was idle when the request came has rested.
constexpr uint8_t kMostPolls = 2;

constexpr size_t kMostIdLength = 128;  // of an X-Request-Id that is passed on

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

// Of methods that change nothing (RFC 9110, section 9.2.1). A body has to be waited for in any case.
bool may_be_early(const http::RequestHead& request) {
  const bool is_safe = request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
  return is_safe && request.body.kind == http::BodyKind::none && !request.upgrades;
}

}  // namespace

Exchange::Exchange(Context& context) : context_(context), deadline_(context.deadlines, *this) {}
Exchange::~Exchange() = default;

net::Millis Exchange::now_ms() const { return context_.deadlines.now(); }

void Exchange::start(ClientSide& client, const http::RequestHead& request) {
  client_ = &client;
  request_ = &request;
  pool_ = nullptr;
  clear_for_reuse(sent_body_);
  own_request_id_.clear();
  request_id_ = {};
  own_traceparent_.clear();
  identity_ = {};
  choice_ = {};
  tried_ = {};
  blamed_ = routing::kNoSlot;
  patience_ = {};
  pace_ = {};
  lag_ = {};
  web_socket_.reset();
  started_unix_us_ = context_.clock.unix_us();
  started_us_ = now_us();
  connect_us_ = connected_us_ = head_us_ = bytes_in_ = bytes_out_ = interim_bytes_ = 0;
  end_ = failures::kNone;
  last_failure_ = nullptr;
  lost_ = RetryBudget::Of::unseen;
  asked_ = routing::kNoSlot;
  status_ = 0;
  attempts_ = 0;
  touch_at_ = 0;
  queue_us_ = queued_us_ = 0;
  queue_timeout_.reset();
  polls_awaited_ = 0;
  request_state_ = RequestState::coming;
  response_state_ = ResponseState::awaited;
  attempt_ = Attempt::none;
  fresh_only_ = fresh_again_ = keeps_body_ = no_challenge_ = false;
  lasting_ = Lasting::no;
  client_address_ = client.peer().address;
  is_call_ = request.major_version == 2 && http::is_grpc(request.fields.first(http::FieldName::content_type));
  came_early_ = client.is_early();
  choose_request_id();
  choose_trace();
  phase_ = Phase::identify;
}

void Exchange::begin(ClientSide& client, const http::RequestHead& request) {
  start(client, request);
  if (request.body.kind == http::BodyKind::none) request_state_ = RequestState::whole;
  advance();
}

void Exchange::refuse(ClientSide& client, const http::RequestHead& request, const http::Fault& fault) {
  start(client, request);
  fail(failures::malformed(fault));
  advance();
}

void Exchange::choose_request_id() {
  constexpr auto kName = http::FieldName::x_request_id;
  const auto& names = request_->fields.names;
  request_id_ = request_->fields.first(kName);
  const bool passes = passes_as_id(request_id_) && std::count(names.begin(), names.end(), kName) == 1;
  if (!passes) request_id_ = context_.new_request_id(own_request_id_);
}

// Whoever makes no trace is no part of one: what is valid passes as it is.
void Exchange::choose_trace() {
  trace_id_ = http::trace_id(request_->fields);
  if (!trace_id_.empty() || client_->listener().settings.traceparent == conf::Traceparent::pass) return;
  own_traceparent_ = context_.new_traceparent();
  trace_id_ = http::trace_id_of(own_traceparent_);
}

// The step machine. Nothing may be touched after it returns: the exchange may be serving its next request
// already.
void Exchange::advance() {
  if (advancing_) return;
  advancing_ = true;
  while (step() == Step::go) {
  }
  advancing_ = false;
  assert(is_consistent());
  if (phase_ != Phase::over) return;
  phase_ = Phase::none;
  const bool whole = response_state_ == ResponseState::whole || response_state_ == ResponseState::told;
  client_->exchange_over(whole, has_request());
}

Exchange::Step Exchange::step() {
  switch (phase_) {
    case Phase::identify:
      return identify();
    case Phase::choose:
      return choose();
    case Phase::take_permit:
      return take_permit();
    case Phase::connect:
      return connect();
    case Phase::send:
      return send();
    case Phase::relay:
    case Phase::tunnel:
      return relay();
    case Phase::account:
      return account();
    case Phase::await_file:
    case Phase::await_home:
    case Phase::await_permit:
    case Phase::none:
    case Phase::over:
      break;
  }
  return Step::wait;
}

Exchange::Step Exchange::identify() {
  const bool counts_hops = request_->method == "OPTIONS" || request_->method == "TRACE";
  if (counts_hops && is_zero(request_->fields.first(http::FieldName::max_forwards))) {
    fail(request_->method == "OPTIONS" ? failures::kNoHops : failures::kNoHopsForTrace);
    return Step::go;
  }
  if (came_early_ && !may_be_early(*request_)) {
    fail(failures::kTooEarly);
    return Step::go;
  }
  const ServedListener& listener = client_->listener();
  if (listener.settings.strict_paths && conf::is_ambiguous(request_->target)) {
    fail(failures::kAmbiguousPath);
    return Step::go;
  }
  if (look_for_challenge()) return Step::wait;
  if (has_to_be_redirected()) {
    fail(failures::kToHttps);
    return Step::go;
  }
  pool_ = context_.route(listener, request_->host, request_->target);
  if (pool_ == nullptr) {
    fail(failures::kNoRoute);
    return Step::go;
  }
  context_.enter(*pool_);
  era_ = pool_->enter();
  if (request_->fields.has(http::FieldName::via) && loop_mark().is_in(request_->fields)) {
    fail(failures::kLoop);
    return Step::go;
  }
  const uint64_t most = context_.settings().limits.body;
  if (most != 0 && request_->body.length > most) {
    fail(failures::kTooLarge);
    return Step::go;
  }
  client_address_ = http::believed_client(client_->peer(), listener.settings, request_->fields);
  identity_ = pool_->router().identify(view(), pool_->fleet(), started());
  if (const uint64_t too_early_us =
          pool_->router().take_turn(identity_, client_address_, started(), now_us())) {
    pool_->meter().rate_limited.add();
    fail(failures::kRateLimited, static_cast<int>((too_early_us + 999'999) / 1'000'000));
    return Step::go;
  }
  pool_->retries.began(now_ms());
  tried_.patient = pool_->settings().patience != conf::Duration::zero();
  phase_ = Phase::choose;
  return Step::go;
}

// A request may pass through a process twice, as where a pool's backends are caches in front of another pool
// here. It has no reason to come to the same pool again.
http::LoopMark Exchange::loop_mark() const { return http::LoopMark(context_.process_number + pool_->id()); }

Exchange::Step Exchange::choose() {
  const bool timed = context_.times_this_decision();
  const uint64_t began = timed ? now_us() : 0;
  tried_.known = client_->own_connections().slot_in(pool_->connections);
  tried_.sheds = pool_->sheds(now_ms());
  choice_ = pool_->router().choose(identity_, pool_->fleet(), tried_, started());
  if (timed) pool_->meter().decision.add(now_us() - began);
  pool_->meter().reasons[static_cast<size_t>(choice_.reason)].add();
  if (choice_) {
    pool_->meter().backends[choice_.slot].begun.add();
    client_->own_connections().drop_elsewhere(pool_->connections, choice_.slot);
    fresh_only_ = false;
    polls_awaited_ = 0;
    phase_ = Phase::take_permit;
    return Step::go;
  }
  switch (choice_.reason) {
    case routing::Reason::away:
      if (!wait_for_home()) tried_.add(choice_.home);
      break;
    case routing::Reason::refused:
      fail(failures::kRefused);
      break;
    case routing::Reason::full:
      fail(failures::kFull);
      break;
    case routing::Reason::shed:
      fail(failures::kShed);
      break;
    default:
      fail(last_failure_ != nullptr ? *last_failure_ : failures::kNoBackend);
  }
  return Step::go;
}

Exchange::Step Exchange::connect() {
  if (attempt_ == Attempt::resting) return Step::wait;
  if (!backend_) {
    if (!fresh_only_) take_idle();
    if (attempt_ == Attempt::resting) return Step::wait;
    if (attempts_++ != 0) {
      pool_->meter().backends[asked_].retried.add();
      if (choice_.slot != asked_) pool_->retries.spend(now_ms(), lost_);
    }
    asked_ = choice_.slot;
    connect_us_ = backend_ && attempts_ == 1 ? started_us_ : now_us();
    if (!backend_) {
      int error = 0;
      const net::Millis patience = millis(pool_->settings().timeouts.connect);
      backend_ = pool_->connections.dial(pool_->fleet().backends[choice_.slot], choice_.slot, this, patience,
                                         preface(), error);
      if (!backend_) {
        connect_failed(error);
        return Step::go;
      }
      attempt_ = Attempt::dialing;
      deadline_.set(now_ms() + patience);
    }
  }
  if (attempt_ == Attempt::dialing) return Step::wait;
  connected_us_ = backend_->is_reused() ? connect_us_ : now_us();
  phase_ = Phase::send;
  return Step::go;
}

// What the PROXY protocol says of the client to its backend.
std::string Exchange::preface() const {
  const unsigned version = pool_->settings().send_proxy;
  if (version == 0) return {};
  sockaddr_storage peer{}, own{};
  socklen_t size = sizeof peer;
  const int descriptor = client_->descriptor();
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) peer = {};
  size = sizeof own;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size) != 0) own = {};
  const bool is_peer = net::from_sockaddr(peer) == client_address_;
  if (client_address_ == conf::IpAddress{}) return own_proxy_header(version);
  return proxy_header(version, {.source = client_address_,
                                .destination = net::from_sockaddr(own),
                                .source_port = is_peer ? net::port_in(peer) : uint16_t{0},
                                .destination_port = net::port_in(own)});
}

// A used connection is taken when a poll has brought nothing since its last answer. Where all rest, the next
// poll is waited for, which is at once.
void Exchange::take_idle() {
  BackendConnections& connections = pool_->connections;
  const OwnConnections& own = client_->own_connections();
  const net::Millis most_idle = request_->idempotent() ? net::kNever : kFreshlyUsed;
  backend_ = connections.take(choice_.slot, most_idle, own, this);
  if (backend_) attempt_ = Attempt::open;
  if (backend_ || polls_awaited_ == kMostPolls || !connections.has_idle(choice_.slot, most_idle, own)) return;
  ++polls_awaited_;
  attempt_ = Attempt::resting;
  context_.polls.await(*this);
}

void Exchange::on_polled() {
  attempt_ = Attempt::none;
  advance();
}

Exchange::Step Exchange::send() {
  pace_.excuse();
  keeps_body_ = keeps_body_ || bytes_in_ == 0;
  if (http::carries_connection_credentials(request_->fields)) backend_->give_to_client();

  const http::LoopMark mark = loop_mark();
  std::string backend;
  if (request_->host.empty()) backend = pool_->fleet().backends[choice_.slot].address.authority();
  backend_->send_head(*request_, {.via = context_.settings().via,
                                  .mark = mark.text(),
                                  .request_id = own_request_id_,
                                  .traceparent = own_traceparent_,
                                  .hidden_cookie = pool_->cookie_name(),
                                  .backend = backend,
                                  .early = came_early_,
                                  .peer = client_->peer(),
                                  .listener = client_->listener().settings});
  phase_ = Phase::relay;
  if (!sent_body_.empty()) backend_->send_body(sent_body_);
  if (has_request()) backend_->send_end({}, {});
  if (!sent_body_.empty()) flush_backend();  // what is pulled may be appended to it, and move it
  client_->pull();
  return Step::go;
}

Exchange::Step Exchange::relay() {
  if (attempt_ == Attempt::broken && !has_begun_response() && !backend_->has_sent()) {
    backend_lost();
    return Step::go;
  }
  if (response_state_ != ResponseState::ended) return Step::wait;
  if (phase_ == Phase::tunnel && (request_state_ != RequestState::closed || backend_->queued() != 0))
    return Step::wait;
  response_state_ = ResponseState::whole;
  phase_ = Phase::account;
  return Step::go;
}

Exchange::Step Exchange::account() {
  deadline_.clear();
  if (choice_.reserved) pool_->router().release(choice_);
  choice_.reserved = false;
  if (attempt_ == Attempt::open && response_state_ == ResponseState::whole && has_request())
    backend_.release()->release(millis(pool_->settings().timeouts.keep_alive), client_->own_connections());
  drop_backend();
  permit_.give_back();
  measure();
  log();
  leave_era();
  if (pool_ != nullptr) context_.leave(*pool_);
  pool_ = nullptr;
  phase_ = Phase::over;
  return Step::wait;
}

// No slot is remembered any more but that of the backend that answers, where the request is counted.
void Exchange::leave_era() {
  if (era_ != nullptr) pool_->leave(std::exchange(era_, nullptr));
}

void Exchange::flush_backend() {
  if (!backend_ || !backend_->has_gathered()) return;
  pace_.came(now_ms());
  const BackendSide* const asked = backend_.get();
  if (!backend_->flush() && backend_.get() == asked) attempt_ = Attempt::broken;
  await_progress();
}

void Exchange::flush_client() {
  if (client_->flush()) return;
  cut(failures::kClientGone);
}

bool Exchange::is_consistent() const {
  if ((backend_ != nullptr) != (attempt_ >= Attempt::dialing)) return false;
  if ((waiting_ != nullptr) != (phase_ == Phase::await_permit)) return false;
  switch (phase_) {
    case Phase::none:
    case Phase::over:
      return attempt_ == Attempt::none;
    case Phase::await_file:
    case Phase::await_home:
      return attempt_ == Attempt::none && response_state_ == ResponseState::awaited && !permit_;
    case Phase::await_permit:
      return attempt_ == Attempt::none && response_state_ == ResponseState::awaited && !permit_;
    case Phase::connect:
      return (attempt_ == Attempt::resting || attempt_ == Attempt::dialing) &&
             response_state_ == ResponseState::awaited;
    case Phase::relay:
      return attempt_ >= Attempt::open && request_state_ != RequestState::cut &&
             response_state_ <= ResponseState::begun;
    case Phase::tunnel:
      return attempt_ >= Attempt::open && has_request() &&
             (response_state_ == ResponseState::begun || response_state_ == ResponseState::ended);
    default:
      return false;  // it never waits there
  }
}

routing::RequestView Exchange::view() const {
  return {request_->method, request_->target, request_->fields.list, client_address_};
}

}  // namespace limpet::proxy
