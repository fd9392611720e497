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
  preface_ = asked == question.address ? question.preface : std::string();
  check_.tls = check_.tls || (question.tls != nullptr && asked == question.address);
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
  if (connector_ != nullptr) return connector_->connect(address_, session_);
  if (check_.host.empty()) return unverified().connect(address_, session_);
  return unverified().connect_as(host_of(check_.host), session_);
}

net::TlsConnector& Probe::unverified() {
  if (unverified_ == nullptr) {
    auto trust = std::make_shared<net::TlsTrust>();
    trust->settings.insecure = true;
    std::string error;  // there is nothing that OpenSSL could not take
    unverified_ = net::TlsConnector::make(std::move(trust), error);
  }
  return *unverified_;
}

// For what this machine lacks the backend is not to blame, nor for a name server that does not answer.
void Probe::dial_failed() {
  if (dial_error_ == 0) return end(Kind::unasked, "the name " + address_.host + " has no address");
  if (dial_error_ == UV_EAGAIN) return end(Kind::timeout, "it accepts no more connections");  // unix(7)
  if (net::is_shortage(dial_error_)) descriptors_.met(net::Descriptors::Shortage::unasked, dial_error_);
  end(net::is_local(dial_error_) ? Kind::unasked : Kind::fail, uv_strerror(dial_error_),
      net::is_refused(dial_error_));
}

void Probe::on_connected() {
  connected_ = true;
  turns_.start_with(turns_.index());
  deadline_.set(due_);
  if (tls_ == nullptr) write(preface_);
  if (check_.kind != conf::HealthCheck::Kind::http) return pass();
  ask();
}

void Probe::ask() {
  std::string head = check_.method + ' ' + check_.path + " HTTP/1.1\r\n";
  http::add_field(head, "Host", !check_.host.empty() ? check_.host : address_.authority());
  http::add_field(head, "User-Agent", "limpet-check");
  http::add_field(head, "Accept", "*/*");
  http::add_field(head, "Connection", "close");
  if (check_.method == "POST") http::add_field(head, "Content-Length", "0");  // RFC 9110, section 8.6
  head.append("\r\n");
  answer_.emplace(check_);
  phase_ = Phase::answer;
  write(head);
}

// What a peer does not take is not told here: its end, or its reset, is.
void Probe::write(std::string_view bytes) {
  const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  if (!bytes.empty()) stream_->write({&part, 1});
}

void Probe::on_bytes(std::string_view bytes) {
  if (phase_ != Phase::answer) return;
  answer_->take(bytes);
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
  if (is_shaking_hands()) return fail("TLS handshake failed: " + reason);
  if (phase_ == Phase::connecting) {
    dial_error_ = error;
    return dial_next() ? arm() : dial_failed();
  }
  if (error == net::kTlsFailed && answer_->verdict()) return on_end();
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
  if (now >= due_) return end(Kind::timeout, timeout_detail());
  if (is_shaking_hands()) return deadline_.set(due_);
  dial_error_ = UV_ETIMEDOUT;  // of an address that does not answer while there is another one
  dial_next() ? arm() : dial_failed();
}

std::string Probe::timeout_detail() const {
  const std::string within = " within " + conf::duration_text(check_.timeout);
  if (phase_ == Phase::connecting)
    return (is_shaking_hands() ? "no TLS handshake" : "no connection") + within;
  return (answer_->has_begun() ? "the answer did not end" : "no answer") + within;
}

// Tells what the answer has come to. The connection stays until the answer has been read, or its time is
// over.
void Probe::tell_verdict() {
  if (phase_ != Phase::answer) return;
  const std::optional<health::CheckResult> verdict = answer_->verdict();
  instance_ = answer_->instance();
  if (answer_->is_over()) hang_up();
  if (verdict && done_ != nullptr) report(*verdict);
}

void Probe::hang_up() {
  if (tls_ != nullptr && connected_) tls_->finish();
  tls_ = nullptr;
  stream_.reset();
  answer_.reset();
  deadline_.clear();
  phase_ = Phase::idle;
}

void Probe::pass() { end(Kind::pass, ""); }

void Probe::fail(std::string detail) { end(Kind::fail, std::move(detail)); }

void Probe::end(Kind kind, std::string detail, bool refused) {
  hang_up();
  if (done_ != nullptr) report({kind, std::move(detail), refused});
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
