#include "src/probe.h"

#include <uv.h>

#include <algorithm>
#include <utility>

#include "conf/quantities.h"
#include "src/http/head.h"
#include "src/net/descriptors.h"
#include "src/net/dial.h"
#include "src/net/loop.h"
#include "src/net/socket_address.h"
#include "src/probe_grpc.h"
#include "src/probe_h1.h"
#include "src/probe_h2.h"

namespace limpet {

namespace {

using Kind = health::CheckResult::Kind;

// "app:80" -> "app", "[::1]:80" -> "::1", "10.0.0.1" -> "10.0.0.1"
std::string host_of(std::string host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  if (std::count(host.begin(), host.end(), ':') == 1) host.resize(host.find(':'));
  return host;
}

}  // namespace

Probe::Probe(net::Loop& loop, const net::Resolver& resolver, net::Descriptors& descriptors,
             net::TlsRoom& tls_room)
    : loop_(loop),
      resolver_(resolver),
      descriptors_(descriptors),
      tls_room_(tls_room),
      deadline_(loop.deadlines(), *this) {}

Probe::~Probe() { cancel(); }

void Probe::start(const Question& question, ProbeEvents* done, uint64_t tag) {
  cancel();
  conf::Address asked = question.address;
  const bool has_port = asked.kind != conf::Address::Kind::unix_socket;
  if (has_port && question.check.port != 0) asked.port = question.check.port;
  if (asked != address_) turns_ = {};
  address_ = asked;
  check_ = question.check;
  const bool is_backend = asked == question.address;
  preface_ = is_backend ? question.preface : std::string();
  check_.tls = check_.tls || (question.tls != nullptr && is_backend);
  speaks_http2_ = check_.kind == conf::HealthCheck::Kind::grpc ||
                  (is_backend && question.protocol == conf::Protocol::http2);
  if (std::exchange(connector_, question.tls) != question.tls) session_.keep(nullptr);
  done_ = done;
  tag_ = tag;
  began_ = std::chrono::steady_clock::now();
  uv_update_time(loop_.uv());  // or what this turn has taken so far would be the check's
  began_at_ = loop_.deadlines().now();
  due_ = began_at_ + conf::millis(check_.timeout);
  extended_ = connected_ = false;
  instance_.reset();
  dial_error_ = 0;
  turns_.begin(net::count_addresses(resolver_, address_));
  if (dial_next()) {
    phase_ = Phase::connecting;
    arm();
  } else {
    phase_ = Phase::undialled;
    deadline_.set(began_at_);
  }
}

// An address that does not answer costs a part of the time while there is another one.
void Probe::arm() {
  const net::Millis now = loop_.deadlines().now();
  const bool is_last = phase_ != Phase::connecting || !turns_.has_more();
  deadline_.set(is_last ? due_ : std::min(due_, now + net::Turns::share_of(conf::millis(check_.timeout))));
}

void Probe::cancel() {
  done_ = nullptr;
  hang_up();
}

bool Probe::dial_next() {
  tls_ = nullptr;
  stream_ = turns_.dial_next(dial_error_, [this](unsigned index, int& error) { return dial(index, error); });
  return stream_ != nullptr;
}

net::StreamPtr Probe::dial(unsigned index, int& error) {
  const auto dial_for = [&](net::StreamOwner* owner) {
    return net::dial(loop_, resolver_, address_, index, net::kAnyDescriptor, owner, error);
  };
  if (!check_.tls) return dial_for(this);
  tls_ = net::dial_tls(tls_room_, make_tls(), preface_, this, dial_for);
  return net::StreamPtr(tls_);
}

// Where requests go by TLS, a backend proves to checks what it proves to them. Elsewhere nothing is verified.
net::SslPtr Probe::make_tls() {
  if (connector_ != nullptr || check_.host.empty()) return connector().connect(address_, session_);
  return connector().connect_as(host_of(check_.host), session_);
}

// The pool's, or one of its own where there is none that offers what is to be spoken.
net::TlsConnector& Probe::connector() {
  if (connector_ != nullptr && connector_->trust()->http2 == speaks_http2_) return *connector_;
  net::TlsTrust trust;
  trust.settings.insecure = true;
  if (connector_ != nullptr) trust = *connector_->trust();
  trust.http2 = speaks_http2_;
  if (own_ == nullptr || *own_->trust() != trust) {
    std::string error;  // there is nothing that OpenSSL could not take
    own_ = net::TlsConnector::make(std::make_shared<net::TlsTrust>(std::move(trust)), error);
    session_.keep(nullptr);
  }
  return *own_;
}

// For what this machine lacks the backend is not to blame, nor for a name server that does not answer.
void Probe::dial_failed() {
  if (dial_error_ == 0)
    return end({.kind = Kind::unasked, .detail = "the name " + address_.host + " has no address"});
  if (dial_error_ == UV_EAGAIN)
    return end({.kind = Kind::timeout, .detail = "it accepts no more connections"});  // unix(7)
  if (net::is_shortage(dial_error_)) descriptors_.met(net::Descriptors::Shortage::unasked, dial_error_);
  end({.kind = net::is_local(dial_error_) ? Kind::unasked : Kind::fail,
       .detail = uv_strerror(dial_error_),
       .refused = net::is_refused(dial_error_)});
}

void Probe::on_connected() {
  connected_ = true;
  turns_.start_with(turns_.index());
  deadline_.set(due_);
  const iovec preface{preface_.data(), preface_.size()};
  if (tls_ == nullptr && !preface_.empty()) stream_->write({&preface, 1});
  if (check_.kind == conf::HealthCheck::Kind::none || check_.kind == conf::HealthCheck::Kind::tcp)
    return end({});
  if (speaks_http2_ && tls_ != nullptr && !net::chose_http2(tls_->tls()))
    return end(ProbeH2::foreign("it does not choose it by ALPN"));
  ask();
}

void Probe::ask() {
  const bool is_grpc = check_.kind == conf::HealthCheck::Kind::grpc;
  std::string head;
  head.append(is_grpc ? "POST" : check_.method).append(" ");
  head.append(is_grpc ? kGrpcHealthPath : check_.path).append(" HTTP/1.1\r\n");
  http::add_field(head, "Host", !check_.host.empty() ? check_.host : address_.authority());
  http::add_field(head, "User-Agent", "limpet-check");
  if (is_grpc) {
    http::add_field(head, "Content-Type", "application/grpc");
    http::add_field(head, "TE", "trailers");
    http::add_field(head, "Grpc-Timeout", std::to_string(conf::millis(check_.timeout)) + "m");
  } else {
    http::add_field(head, "Accept", "*/*");
  }
  http::add_field(head, "Connection", "close");
  const bool is_empty_post = !is_grpc && check_.method == "POST";
  if (is_empty_post) http::add_field(head, "Content-Length", "0");  // RFC 9110, section 8.6
  head.append("\r\n");
  if (speaks_http2_) {
    answer_ = std::make_unique<ProbeH2>(check_, check_.tls ? "https" : "http");
  } else {
    answer_ = std::make_unique<ProbeH1>(check_);
  }
  answer_->ask(head, is_grpc ? grpc_health_request(check_.service) : std::string());
  phase_ = Phase::answer;
  answer_->say(*stream_);
}

void Probe::on_bytes(std::string_view bytes) {
  if (phase_ != Phase::answer) return;
  answer_->take(bytes);
  answer_->say(*stream_);
  tell_verdict();
}

void Probe::on_drained() {
  if (phase_ != Phase::answer) return;
  answer_->say(*stream_);
  tell_verdict();
}

void Probe::on_end() {
  if (phase_ != Phase::answer) return;
  answer_->end();
  tell_verdict();
}

void Probe::on_broken(int error) {
  connected_ = connected_ || is_shaking_hands();
  if (error == net::kTlsTruncated) return on_end();  // as many servers do
  const std::string reason = error == net::kTlsFailed ? std::string(tls_->failure()) : uv_strerror(error);
  if (is_shaking_hands()) {
    const std::string failed = "TLS handshake failed: " + reason;
    const bool has_no_protocol = error == net::kTlsFailed && tls_->has_no_protocol();
    return has_no_protocol && speaks_http2_ ? end(ProbeH2::foreign(failed)) : fail(failed);
  }
  if (phase_ == Phase::connecting) {
    dial_error_ = error;
    return dial_next() ? arm() : dial_failed();
  }
  if (error == net::kTlsFailed && answer_->judge().verdict()) return on_end();
  answer_.reset();
  fail(error == net::kTlsFailed ? "TLS failed: " + reason : reason);
}

void Probe::on_deadline() {
  if (phase_ == Phase::undialled) return dial_failed();
  const net::Millis now = loop_.deadlines().now();
  if (!extended_ && loop_.late_at() >= began_at_) {
    extended_ = true;
    due_ = now + conf::millis(check_.timeout);
    return arm();
  }
  if (now >= due_) return end({.kind = Kind::timeout, .detail = timeout_detail()});
  if (is_shaking_hands()) return deadline_.set(due_);
  dial_error_ = UV_ETIMEDOUT;  // of an address that does not answer while there is another one
  dial_next() ? arm() : dial_failed();
}

std::string Probe::timeout_detail() const {
  const std::string within = " within " + conf::duration_text(check_.timeout);
  if (phase_ == Phase::connecting)
    return (is_shaking_hands() ? "no TLS handshake" : "no connection") + within;
  return (answer_->judge().has_begun() ? "the answer did not end" : "no answer") + within;
}

// Tells what the answer has come to. The connection stays until the answer has been read, or its time is
// over.
void Probe::tell_verdict() {
  if (phase_ != Phase::answer) return;
  const std::optional<health::CheckResult> verdict = answer_->judge().verdict();
  instance_ = answer_->judge().instance();
  if (answer_->judge().is_over()) hang_up();
  if (verdict && done_ != nullptr) report(*verdict);
}

void Probe::hang_up() {
  if (answer_ != nullptr) answer_->leave(*stream_);
  if (tls_ != nullptr && connected_) tls_->finish();
  tls_ = nullptr;
  stream_.reset();
  answer_.reset();
  deadline_.clear();
  phase_ = Phase::idle;
}

void Probe::fail(std::string detail) { end({.kind = Kind::fail, .detail = std::move(detail)}); }

void Probe::end(health::CheckResult result) {
  hang_up();
  if (done_ != nullptr) report(std::move(result));
}

// The last thing that is done: nothing of the probe may be left afterwards.
void Probe::report(health::CheckResult result) {
  const auto taken = std::chrono::steady_clock::now() - began_;
  ProbeEvents* const done = std::exchange(done_, nullptr);
  result.connected = connected_;
  result.instance = instance_;
  done->on_probed(
      tag_, result,
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(taken).count()));
}

}  // namespace limpet
