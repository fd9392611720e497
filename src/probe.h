// The I/O of health checks: connects, asks, and says what came of it. When to check, and what a result means,
// is for health to say.
//
// One check at a time. Kind tcp passes where a connection can be made, the others where probe_judge.h accepts
// the answer. They ask by HTTP/2 where the pool's backends speak it at this port, and kind grpc always; else
// by HTTP/1.1. A check goes through TLS, whose handshake is part of it, where the pool's backends speak it at
// this port, or the check says so; what is verified is the pool's to say, and where that speaks no TLS
// nothing is. `timeout` covers all of it; where a turn of the loop comes late, the check has that time once
// more. A host with several addresses is tried at each until one connects, as requests do.
//
// Every failure has a detail for the operator, in lower case and without a full stop: "connection refused",
// "no answer within 2s", "answered 503".
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "conf/settings.h"
#include "health/judge.h"
#include "src/net/deadlines.h"
#include "src/net/dial.h"
#include "src/net/stream.h"
#include "src/net/tls_connector.h"
#include "src/net/tls_stream.h"
#include "src/probe_answer.h"

namespace limpet {

namespace net {
class Descriptors;
class Loop;
class Resolver;
}  // namespace net

// Hears how a check went. The probe may be started again, or destroyed, from in here.
class ProbeEvents {
 public:
  virtual void on_probed(uint64_t tag, const health::CheckResult& result, uint64_t microseconds) = 0;

 protected:
  ~ProbeEvents() = default;
};

// Of the loop's thread. Destroyed before the loop, which frees the sockets afterwards.
class Probe final : net::StreamOwner, net::DeadlineOwner {
 public:
  // What is to be asked, how and where. The connector is that of the pool's backends; nullptr: they speak no
  // TLS.
  struct Question {
    const conf::Address& address;
    const conf::HealthCheck& check;
    std::shared_ptr<net::TlsConnector> tls = nullptr;
    std::string preface = {};  // what a connection begins with
    conf::Protocol protocol = conf::Protocol::http1;
  };

  // All outlive it.
  Probe(net::Loop& loop, const net::Resolver& resolver, net::Descriptors& descriptors,
        net::TlsRoom& tls_room);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  // One on_probed() follows, never from within this call. What is under way is cancelled first. `check.port`
  // that is not 0 takes the place of the address', except a unix socket's.
  void start(const Question& question, ProbeEvents* done, uint64_t tag);
  void cancel();  // no on_probed() follows

 private:
  enum class Phase : uint8_t { idle, undialled, connecting, answer };

  void on_connected() override;
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_broken(int error) override;
  void on_deadline() override;

  bool dial_next();
  void dial_failed();
  void arm();
  net::StreamPtr dial(unsigned index, int& error);
  net::TlsConnector& connector();
  net::SslPtr make_tls();
  bool is_shaking_hands() const {
    return phase_ == Phase::connecting && tls_ != nullptr && tls_->has_begun();
  }
  void ask();
  void tell_verdict();
  std::string timeout_detail() const;
  void hang_up();
  void fail(std::string detail);
  void end(health::CheckResult result);
  void report(health::CheckResult result);

  net::Loop& loop_;
  const net::Resolver& resolver_;
  net::Descriptors& descriptors_;
  net::TlsRoom& tls_room_;
  net::Deadline deadline_;
  conf::Address address_;
  conf::HealthCheck check_;
  std::string preface_;
  ProbeEvents* done_ = nullptr;  // nullptr: told already, or nobody asks
  uint64_t tag_ = 0;
  std::chrono::steady_clock::time_point began_;
  Phase phase_ = Phase::idle;
  bool connected_ = false;
  bool speaks_http2_ = false;
  std::optional<uint64_t> instance_;
  net::Millis began_at_ = 0, due_ = 0;  // of the loop's clock
  bool extended_ = false;
  net::Turns turns_;    // among the address' addresses
  int dial_error_ = 0;  // of the last attempt; 0: there was none
  net::StreamPtr stream_;
  net::TlsStream* tls_ = nullptr;                 // stream_, where that is one
  std::shared_ptr<net::TlsConnector> connector_;  // the pool's
  std::unique_ptr<net::TlsConnector> own_;        // made when first needed, and kept
  net::TlsSession session_;
  std::unique_ptr<ProbeAnswer> answer_;  // in Phase::answer
};

}  // namespace limpet
