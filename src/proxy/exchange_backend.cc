// What an exchange does when its backend does something.
#include <algorithm>
#include <iterator>

#include "src/http/connection_auth.h"
#include "src/http/grpc.h"
#include "src/proxy/context.h"
#include "src/proxy/exchange.h"

namespace limpet::proxy {

namespace {

constexpr std::string_view kEvents = "text/event-stream";  // HTML Living Standard, section 9.2

// Of what tells of things as they happen: events, lines and sequences of JSON (RFC 7464), pictures of a
// camera, messages of a call.
bool is_stream(std::string_view type) {
  constexpr std::string_view kTypes[] = {kEvents, "application/x-ndjson", "application/json-seq",
                                         "multipart/x-mixed-replace"};
  constexpr std::string_view kCallsOfPages = "application/grpc-web";  // or application/grpc-web+proto
  const auto is_type = [type](std::string_view one) { return equals_ignoring_case(type, one); };
  return std::any_of(std::begin(kTypes), std::end(kTypes), is_type) || http::is_grpc(type) ||
         equals_ignoring_case(type.substr(0, kCallsOfPages.size()), kCallsOfPages);
}

// Of all interim answers to a request, so that one that never gets to a final answer ends.
constexpr size_t kMostInterimBytes = 64 * 1024;

bool is_web_socket(const http::ResponseHead& head) {
  return equals_ignoring_case(head.fields.first(http::FieldName::upgrade), "websocket");
}

}  // namespace

void Exchange::on_backend_connected() {
  attempt_ = Attempt::open;
  advance();
}

void Exchange::on_response_head(const http::ResponseHead& head) {
  if (head.interim()) {
    interim_bytes_ += head.bytes.size();
    if (interim_bytes_ > kMostInterimBytes) {
      blame(BackendFailure::nonsense);
      fail(failures::kTooMuchInterim);
      return advance();
    }
    if (request_->minor_version >= 1) client_->send_interim(head);  // RFC 9110, section 15.2
    return;
  }
  if (head.status == 101 && (!request_->upgrades || !has_request())) {
    fail(failures::kSwitchedUnasked);
    return advance();  // no end of the batch will be told
  }
  begin_response(head);
  if (head.status == 101) {
    backend_->become_tunnel();
    if (is_web_socket(head)) web_socket_ = std::make_unique<http::WebSocket>();
    if (request_state_ == RequestState::closed) backend_->finish_tunnel();
    phase_ = Phase::tunnel;
  }
}

void Exchange::begin_response(const http::ResponseHead& head) {
  head_us_ = now_us();
  touch_at_ = now_ms() + touch_interval();
  const uint64_t unix_us = started_unix_us_ + (head_us_ - started_us_);
  const routing::Outcome outcome =
      pool_->router().account(identity_, choice_, pool_->fleet(), view(), {head.status, head.fields.list},
                              seconds(unix_us, head_us_));
  choice_.reserved = false;
  leave_era();
  std::string set_cookie;
  if (outcome.token) {
    set_cookie.append(pool_->cookie_name())
        .append("=")
        .append(*outcome.token)
        .append(pool_->cookie_attributes(
            http::believed_tls(client_->peer(), client_->listener().settings, request_->fields)));
  }
  lasting_ = lasting_of(head);
  status_ = head.status;
  judge_answer();
  if ((head.status == 401 || head.status == 407) && http::challenges_connection(head.fields))
    backend_->give_to_client();
  client_->send_head(head, {.via = context_.settings().via,
                            .date = context_.clock.http_date(unix_us),
                            .set_cookie = set_cookie,
                            .hsts = client_->listener().settings.tls.hsts,
                            .close = !has_request()});
  response_state_ = ResponseState::begun;
}

// What an EventSource listens to, or an MCP client, is asked for by GET. By other methods an answer may come
// as events too, but it ends when it is given.
Exchange::Lasting Exchange::lasting_of(const http::ResponseHead& head) const {
  if (head.status == 101) return Lasting::endless;
  if (head.body.kind == http::BodyKind::none || head.body.kind == http::BodyKind::length) return Lasting::no;
  const std::string_view value = head.fields.first(http::FieldName::content_type);
  const std::string_view type = trimmed(value.substr(0, value.find(';')));
  if (!is_stream(type)) return Lasting::no;
  return request_->method == "GET" && equals_ignoring_case(type, kEvents) ? Lasting::endless
                                                                          : Lasting::stream;
}

void Exchange::judge_answer() {
  if (is_failure(status_)) {
    blame(BackendFailure::status);
  } else if (is_doubtful(status_)) {
    doubt_backend();
  } else if (lasting_ == Lasting::endless) {
    count_answered(now_us());
  }
}

bool Exchange::is_failure(int status) const {
  return conf::contain(pool_->settings().passive.status, status);
}

void Exchange::count_answered(uint64_t at_us) {
  BackendMeter& meter = pool_->meter().backends[choice_.slot];
  meter.answered_begun.add(connected_us_);
  meter.answered_at.add(at_us);
}

void Exchange::on_response_body(std::string_view piece) {
  if (phase_ != Phase::relay) return;
  bytes_out_ += piece.size();
  client_->send_body(piece);
}

void Exchange::on_response_end(const http::Fields& trailers) {
  if (phase_ != Phase::relay) return;
  client_->send_end(trailers);
  response_state_ = ResponseState::ended;
}

void Exchange::on_backend_batch_end() {
  if (phase_ == Phase::relay || phase_ == Phase::tunnel) {
    flush_client();
    if (backend_ && client_->queued() != 0) backend_->pause();
    lag_.end();
    // What leads up to an answer earns it no more time.
    if (has_begun_response() || !has_request()) await_progress();
    if (phase_ == Phase::tunnel) client_->pull();
  }
  advance();
}

void Exchange::on_backend_tunnel(std::string_view bytes) {
  bytes_out_ += bytes.size();
  if (web_socket_) web_socket_->server.feed(bytes);
  client_->send_tunnel(bytes);
}

void Exchange::on_backend_tunnel_end() {
  response_state_ = ResponseState::ended;
  if (request_state_ != RequestState::closed && web_socket_ && web_socket_->is_cut_by_end_of_server())
    end_ = failures::kBackendCut;
  client_->finish_tunnel();
  await_progress();
  advance();
}

void Exchange::on_backend_drained() {
  pace_.excuse();
  await_progress();
  client_->pull();
}

void Exchange::on_backend_fault(BackendFault fault, int error) {
  const bool nonsense = fault == BackendFault::nonsense;
  if (phase_ == Phase::connect) {
    connect_failed(error);
  } else if (phase_ == Phase::tunnel || has_begun_response()) {
    flush_client();
    if (phase_ != Phase::tunnel) blame(nonsense ? BackendFailure::nonsense : BackendFailure::closed);
    cut(nonsense ? failures::kBackendNonsense : failures::kBackendCut);
  } else if (nonsense) {
    blame(BackendFailure::nonsense);
    fail(failures::kBackendNonsense);
  } else {
    backend_lost();
  }
  advance();
}

}  // namespace limpet::proxy
