// A server on the loopback interface, in many manners, and a probe that checks it, on one loop.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/net/resolver.h"
#include "src/probe.h"
#include "tests/src/net/loopback.h"
#include "tests/support/tls_server.h"

namespace limpet::test {

// What the server does with a connection.
struct Manner {
  enum class Then : uint8_t { stay, end, reset };
  std::string answer;  // to a request; or to the first byte, with `at_once`
  bool at_once = false;
  Then then = Then::end;
  size_t pieces = 1 << 20;  // bytes of the answer in one write; one piece for each turn of the loop
  bool tls = false;
};

class CheckedPeer final : public net::StreamOwner {
 public:
  CheckedPeer(net::UvStream* stream, TlsServer& server, const Manner& manner)
      : manner_(manner), stream_(stream) {
    if (manner.tls) tls.emplace(server);
    stream->start(this);
  }
  ~CheckedPeer() { close(); }

  // Says another piece of the answer, if it is time to.
  void turn() {
    const bool due = manner_.at_once ? asked_at_all : request.find("\r\n\r\n") != request.npos;
    if (!due || stream_ == nullptr || done_) return;
    const std::string piece = manner_.answer.substr(said_, manner_.pieces);
    said_ += piece.size();
    done_ = said_ == manner_.answer.size();
    if (tls) tls->send(piece);
    if (tls && done_ && manner_.then == Manner::Then::end) tls->close();
    write(tls ? tls->output() : piece);
    if (!done_) return;
    if (manner_.then == Manner::Then::end) stream_->finish();
    if (manner_.then == Manner::Then::reset) std::exchange(stream_, nullptr)->reset();
  }
  bool has_socket() const { return stream_ != nullptr; }
  bool gone() const { return ended || error != 0 || !has_socket(); }
  size_t said() const { return said_; }

  std::string request;
  bool asked_at_all = false;
  bool ended = false;  // in order
  int error = 0;
  std::optional<TlsServer::Connection> tls;

 private:
  void on_bytes(std::string_view bytes) override {
    asked_at_all = true;
    if (tls && !manner_.at_once) {
      request += tls->receive(bytes);
      write(tls->output());
    } else {
      request += bytes;
    }
  }
  void on_end() override { ended = true; }
  void on_drained() override {}
  void on_broken(int why) override { error = why; }
  void write(std::string_view bytes) {
    const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    if (!bytes.empty()) stream_->write({&part, 1});
  }
  void close() {
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->close();
  }

  const Manner manner_;
  net::UvStream* stream_;
  size_t said_ = 0;
  bool done_ = false;
};

struct WithResolver {  // outlives the loop
  net::Resolver resolver;
};

// A server, and a probe on the same loop.
class Checked : WithResolver, public Loopback, public ProbeEvents {
 public:
  Checked() {
    resolver.start(loop.uv(), {"localhost"});
    address = {conf::Address::Kind::ip, "127.0.0.1", port};
    check.kind = conf::HealthCheck::Kind::http;
    check.timeout = std::chrono::seconds(5);
  }
  ~Checked() {
    probe.reset();
    resolver.close();
    close_listener();
    peers.clear();
    for_a_while();
  }

  void start(uint64_t token = 7) {
    probe->start({address, check, connector, preface, protocol}, this, token);
  }
  // One check from its start to its result: "pass", "fail: answered 503".
  std::string run() {
    const size_t before = results.size();
    start();
    CHECK(results.size() == before);  // never from within start()
    REQUIRE(until_served([&] { return results.size() > before; }));
    return results.back();
  }
  // Runs the loop, and lets the server say what it has to, until `holds`.
  bool until_served(const std::function<bool()>& holds) {
    return until([&] {
      turn();
      return holds();
    });
  }
  void turn() {
    for (auto& peer : peers) peer->turn();
  }
  // The sockets on the loop, those being closed aside: of the listener, the probe and the peers.
  size_t sockets() {
    size_t count = 0;
    uv_walk(
        loop.uv(),
        [](uv_handle_t* handle, void* into) {
          const bool is_socket =
              handle->type == UV_TCP || handle->type == UV_NAMED_PIPE || handle->type == UV_POLL;
          if (is_socket && !uv_is_closing(handle)) ++*static_cast<size_t*>(into);
        },
        &count);
    return count;
  }
  bool probe_has_no_socket() {
    const auto open =
        std::count_if(peers.begin(), peers.end(), [](const auto& peer) { return peer->has_socket(); });
    return sockets() == 1 + static_cast<size_t>(open);
  }

  conf::Address address;
  conf::HealthCheck check;
  std::shared_ptr<net::TlsConnector> connector;
  std::string preface;
  conf::Protocol protocol = conf::Protocol::http1;
  Manner manner;
  TlsServer tls;
  std::deque<std::unique_ptr<CheckedPeer>> peers;
  std::vector<std::string> results;
  std::vector<uint64_t> tokens;
  std::optional<uint64_t> instance;  // of the last
  uint64_t microseconds = 0;
  std::function<void()> then;
  net::TlsRoom room{loop.graveyard()};
  std::unique_ptr<Probe> probe = std::make_unique<Probe>(loop, resolver, descriptors, room);

 private:
  void on_accepted(net::UvStream* stream, const conf::IpAddress&) override {
    peers.push_back(std::make_unique<CheckedPeer>(stream, tls, manner));
  }
  void on_probed(uint64_t token, const health::CheckResult& result, uint64_t took) override {
    const char* const kinds[] = {"pass", "fail", "timeout", "drain", "unasked"};
    results.push_back(kinds[static_cast<size_t>(result.kind)] +
                      (result.detail.empty() ? "" : ": " + result.detail));
    instance = result.instance;
    tokens.push_back(token);
    microseconds = took;
    if (then) then();
  }
};

inline const std::string kReady = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready";

// Begins a check of `Here`, as `prepare` makes it, plain and by TLS, and cancels or destroys it after one
// step, two, and so on: until it is over before.
template <class Here, class Prepare>
void cancel_at_each_step(Prepare&& prepare) {
  for (const bool with_tls : {false, true}) {
    for (const bool destroyed : {false, true}) {
      int finished = 0;
      for (int steps = 0; finished < 5; ++steps) {
        REQUIRE(steps < 2000);
        Here here;
        prepare(here);
        here.manner.tls = here.check.tls = with_tls;
        here.manner.pieces = 8;
        here.check.body = "ready";
        here.start();
        for (int i = 0; i < steps; ++i) {
          uv_run(here.loop.uv(), UV_RUN_NOWAIT);
          here.turn();
        }
        const size_t told = here.results.size();
        if (told != 0) ++finished;
        if (destroyed) {
          here.probe.reset();
        } else {
          here.probe->cancel();
        }
        here.turn();
        CHECK(here.probe_has_no_socket());
        for (int i = 0; i < 5; ++i) uv_run(here.loop.uv(), UV_RUN_NOWAIT);
        CHECK(here.results.size() == told);
      }
    }
  }
}

}  // namespace limpet::test
