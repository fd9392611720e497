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

// "app:80" -> "app", "[::1]:80" -> "", "10.0.0.1" -> "": TLS tells names alone (RFC 6066, section 3), and
// those without the root's dot.
std::string name_in(std::string host) {
  if (std::count(host.begin(), host.end(), ':') == 1) host.resize(host.find(':'));
  sockaddr_storage literal;
  if (host.starts_with('[') || net::to_sockaddr(host, 0, literal)) return {};
  if (host.ends_with('.')) host.pop_back();
  return host;
}

}  // namespace

Probe::Probe(net::Loop& loop, const net::Resolver& resolver, net::Descriptors& descriptors)
    : loop_(loop), resolver_(resolver), descriptors_(descriptors), deadline_(loop.deadlines(), *this) {}

Probe::~Probe() { cancel(); }

void Probe::start(const conf::Address& address, const conf::HealthCheck& check, ProbeEvents* done,
                  uint64_t tag) {
  cancel();
  conf::Address asked = address;
  if (check.port != 0) asked.port = check.port;
  if (asked != address_) turns_ = {};
  address_ = asked;
  check_ = check;
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
  stream_ = turns_.dial_next(dial_error_, [this](unsigned index, int& error) {
    return net::dial(loop_, resolver_, address_, index, net::kAnyDescriptor, this, error);
  });
  return stream_ != nullptr;
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
  if (check_.tls) {
    if (!tls_context_) tls_context_ = std::make_unique<net::TlsContext>();
    tls_.emplace(*tls_context_, server_name());
    phase_ = Phase::handshake;
    flush_tls();
    if (tls_->state() == net::TlsClient::State::failed) fail("TLS handshake failed: " + tls_->failure());
    return;
  }
  if (check_.kind != conf::HealthCheck::Kind::http) return pass();
  ask();
}

std::string Probe::server_name() const {
  if (!check_.host.empty()) return name_in(check_.host);
  return address_.kind == conf::Address::Kind::host ? name_in(address_.host) : std::string{};
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
  if (!tls_) return write(head);
  tls_->send(head);
  flush_tls();
}

// What a peer does not take is not told here: its end, or its reset, is.
void Probe::write(std::string_view bytes) {
  const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  stream_->write({&part, 1});
}

void Probe::flush_tls() {
  const std::string bytes = tls_->output();
  if (!bytes.empty()) write(bytes);
}

void Probe::on_bytes(std::string_view bytes) {
  using State = net::TlsClient::State;
  if (tls_) {
    bytes = tls_->receive(bytes);
    flush_tls();
    if (phase_ == Phase::handshake && tls_->state() == State::open) {
      if (check_.kind != conf::HealthCheck::Kind::http) return pass();
      ask();
    }
  }
  if (phase_ == Phase::answer) answer_->take(bytes);
  if (tls_ && tls_->state() == State::failed) {
    if (phase_ == Phase::handshake) return fail("TLS handshake failed: " + tls_->failure());
    if (!answer_->verdict()) return fail("TLS failed: " + tls_->failure());
  }
  if (tls_ && (tls_->state() == State::failed || tls_->state() == State::ended)) return on_end();
  tell_verdict();
}

void Probe::on_end() {
  if (phase_ == Phase::handshake) return fail("TLS handshake failed: the connection ended");
  answer_->end();
  tell_verdict();
}

void Probe::on_broken(int error) {
  if (phase_ == Phase::connecting) {
    dial_error_ = error;
    return dial_next() ? arm() : dial_failed();
  }
  const std::string reason = uv_strerror(error);
  fail(phase_ == Phase::handshake ? "TLS handshake failed: " + reason : reason);
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
  dial_error_ = UV_ETIMEDOUT;  // of an address that does not answer while there is another one
  dial_next() ? arm() : dial_failed();
}

std::string Probe::timeout_detail() const {
  const std::string within = " within " + conf::duration_text(check_.timeout);
  if (phase_ == Phase::connecting) return "no connection" + within;
  if (phase_ == Phase::handshake) return "no TLS handshake" + within;
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
  if (tls_ && stream_) {
    tls_->close();
    flush_tls();
    stream_->finish();
  }
  stream_.reset();
  tls_.reset();
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
