// Health checks against servers on the loopback interface.
#include "src/probe.h"

#include <sys/un.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <utility>

#include "src/net/resolver.h"
#include "tests/src/net/loopback.h"
#include "tests/support/tls_server.h"

using namespace limpet;
using namespace limpet::test;
using namespace std::chrono_literals;
using Kind = health::CheckResult::Kind;

namespace {

// What the server does with a connection.
struct Manner {
  enum class Then : uint8_t { stay, end, reset };
  std::string answer;  // to a request; or to the first byte, with `at_once`
  bool at_once = false;
  Then then = Then::end;
  size_t pieces = 1 << 20;  // bytes of the answer in one write; one piece for each turn of the loop
  bool tls = false;
};

class Peer final : public net::StreamOwner {
 public:
  Peer(net::UvStream* stream, TlsServer& server, const Manner& manner) : manner_(manner), stream_(stream) {
    if (manner.tls) tls.emplace(server);
    stream->start(this);
  }
  ~Peer() { close(); }

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

struct Names {  // outlives the loop
  net::Resolver resolver;
};

// A server, and a probe on the same loop.
class Checked : Names, public Loopback, public ProbeEvents {
 public:
  Checked() {
    resolver.start(loop.uv(), {"localhost"});
    address = {conf::Address::Kind::ip, "127.0.0.1", port};
    check.kind = conf::HealthCheck::Kind::http;
    check.timeout = 5s;
  }
  ~Checked() {
    probe.reset();
    resolver.close();
    close_listener();
    peers.clear();
    for_a_while();
  }

  void start(uint64_t token = 7) { probe->start(address, check, this, token); }
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
          const bool is_socket = handle->type == UV_TCP || handle->type == UV_NAMED_PIPE;
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
  Manner manner;
  TlsServer tls;
  std::deque<std::unique_ptr<Peer>> peers;
  std::vector<std::string> results;
  std::vector<uint64_t> tokens;
  uint64_t microseconds = 0;
  std::function<void()> then;
  std::unique_ptr<Probe> probe = std::make_unique<Probe>(loop, resolver);

 private:
  void on_accepted(net::UvStream* stream, const conf::IpAddress&) override {
    peers.push_back(std::make_unique<Peer>(stream, tls, manner));
  }
  void on_probed(uint64_t token, const health::CheckResult& result, uint64_t took) override {
    const char* const kinds[] = {"pass", "fail", "drain"};
    results.push_back(kinds[static_cast<size_t>(result.kind)] +
                      (result.detail.empty() ? "" : ": " + result.detail));
    tokens.push_back(token);
    microseconds = took;
    if (then) then();
  }
};

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready";

// Listens, but lets nobody in.
struct Bound {
  explicit Bound(const sockaddr* address, socklen_t size)
      : socket(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    REQUIRE(bind(socket.fd(), address, size) == 0);
  }
  Socket socket;
};

struct UnixPath {
  UnixPath()
      : path(std::filesystem::temp_directory_path() /
             ("limpet-probe-" + std::to_string(getpid()) + ".sock")) {
    std::filesystem::remove(path);
  }
  ~UnixPath() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

}  // namespace

TEST_CASE("a check of kind tcp passes where a connection can be made, and says nothing there") {
  for (const auto kind : {conf::HealthCheck::Kind::tcp, conf::HealthCheck::Kind::none}) {
    Checked here;
    here.check.kind = kind;
    CHECK(here.run() == "pass");
    REQUIRE(here.until([&] { return !here.peers.empty() && here.peers[0]->gone(); }));
    CHECK(here.peers[0]->ended);
    CHECK(here.peers[0]->request == "");
    CHECK(here.probe_has_no_socket());
  }
}

TEST_CASE("a check asks what was configured, and only once") {
  Checked here;
  here.manner.answer = kOk;
  here.check.method = "OPTIONS";
  here.check.path = "/health?deep=1";
  CHECK(here.run() == "pass");
  CHECK(here.peers[0]->request ==
        "OPTIONS /health?deep=1 HTTP/1.1\r\nHost: " + here.address.text() +
            "\r\nUser-Agent: limpet-check\r\nAccept: */*\r\nConnection: close\r\n\r\n");
  here.check.host = "app.example";
  CHECK(here.run() == "pass");
  CHECK(here.peers[1]->request.find("\r\nHost: app.example\r\n") != std::string::npos);
  here.for_a_while();
  CHECK(here.results.size() == 2);
  CHECK(here.peers.size() == 2);
}

TEST_CASE("a check says how its answer was judged, with its token and its time") {
  Checked here;
  here.manner.answer = "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n";
  const auto before = std::chrono::steady_clock::now();
  CHECK(here.run() == "fail: answered 503");
  const auto took = std::chrono::steady_clock::now() - before;
  CHECK(here.tokens == std::vector<uint64_t>{7});
  CHECK(here.microseconds > 0);
  CHECK(std::chrono::microseconds(here.microseconds) <= took);
  here.check.drain_status = {{503, 503}};
  CHECK(here.run() == "drain: answered 503");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("a check goes to a port of its own") {
  Checked here;
  here.manner.answer = kOk;
  here.check.port = here.port;
  here.address.port = 1;
  CHECK(here.run() == "pass");
  CHECK(here.peers[0]->request.find("\r\nHost: 127.0.0.1:" + std::to_string(here.port) + "\r\n") !=
        std::string::npos);
}

TEST_CASE("a check goes through a unix socket, whatever its port") {
  const UnixPath unix_path;
  Checked here;
  here.address = {conf::Address::Kind::unix_socket, unix_path.path.string(), 0};
  here.check.port = 80;
  CHECK(here.run() == "fail: no such file or directory");

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  unix_path.path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  const Bound bound(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  CHECK(here.run() == "fail: connection refused");
  REQUIRE(listen(bound.socket.fd(), 1) == 0);
  here.start();
  here.for_a_while();
  Socket peer(::accept(bound.socket.fd(), nullptr, nullptr));
  std::string request;
  bool ended = false;
  int error = 0;
  REQUIRE(here.until([&] { return (request += peer.take(ended, error)).ends_with("\r\n\r\n"); }));
  CHECK(request.find("\r\nHost: localhost\r\n") != std::string::npos);
  peer.send(kOk);
  REQUIRE(here.until([&] { return here.results.size() == 3; }));
  CHECK(here.results.back() == "pass");
}

TEST_CASE("a check looks a host's name up") {
  Checked here;
  here.manner.answer = kOk;
  here.address.kind = conf::Address::Kind::host;
  here.address.host = "localhost";
  CHECK(here.run() == "pass");
  here.address.host = "app.internal";
  CHECK(here.run() == "fail: the name app.internal has no address");
  CHECK(here.run() == "fail: the name app.internal has no address");
}

TEST_CASE("a check says that its connection was refused") {
  Checked here;
  sockaddr_storage address;
  REQUIRE(net::to_sockaddr("127.0.0.1", 0, address));
  const Bound bound(reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in));
  here.address.port = port_of(bound.socket.fd());
  CHECK(here.run() == "fail: connection refused");
  here.address.kind = conf::Address::Kind::host;
  here.address.host = "localhost";
  CHECK(here.run() == "fail: connection refused");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("a check's time covers all of it, and a failure says how far it came") {
  Checked here;
  here.check.timeout = 300ms;
  here.manner.then = Manner::Then::stay;
  CHECK(here.run() == "fail: no answer within 300ms");
  CHECK(here.microseconds >= 250'000);
  CHECK(here.probe_has_no_socket());
  here.manner.answer = "HTTP/1.1 200 OK\r\nContent-Len";
  CHECK(here.run() == "fail: no answer within 300ms");
  here.manner.answer = kOk.substr(0, kOk.size() - 1);
  here.check.body = "ready";
  CHECK(here.run() == "fail: the answer did not end within 300ms");
  here.check.tls = true;
  here.manner.answer = "";
  CHECK(here.run() == "fail: no TLS handshake within 300ms");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("what came in time counts, though the loop was busy until the check's time was over") {
  Checked here;
  here.check.kind = conf::HealthCheck::Kind::tcp;
  here.check.timeout = 50ms;
  here.start();
  poll(nullptr, 0, 100);
  REQUIRE(here.until([&] { return !here.results.empty(); }));
  CHECK(here.results.back() == "pass");
}

TEST_CASE("a check says that no connection came about in time") {
  Checked here;
  sockaddr_storage address;
  REQUIRE(net::to_sockaddr("127.0.0.1", 0, address));
  const Bound bound(reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in));
  REQUIRE(listen(bound.socket.fd(), 0) == 0);
  here.address.port = port_of(bound.socket.fd());
  here.check.timeout = 50ms;
  std::deque<Socket> others;  // who wait to be let in, until there is no room for more
  for (int i = 0; i < 8; ++i) {
    others.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    REQUIRE(net::to_sockaddr("127.0.0.1", here.address.port, address));
    (void)connect(others.back().fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in));
  }
  CHECK(here.run() == "fail: no connection within 50ms");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("a server that trickles does not make a check longer") {
  Checked here;
  here.check.timeout = 80ms;
  here.manner.pieces = 1;
  here.manner.answer = "HTTP/1.1 200 OK\r\nX: " + std::string(50'000, 'x') + "\r\n\r\n";
  CHECK(here.run() == "fail: no answer within 80ms");
}

TEST_CASE("a server that hangs up fails a check") {
  Checked here;
  CHECK(here.run() == "fail: the connection ended before an answer");
  here.manner.then = Manner::Then::reset;
  CHECK(here.run() == "fail: connection reset by peer");
  here.check.tls = true;
  here.manner.at_once = true;
  CHECK(here.run() == "fail: TLS handshake failed: connection reset by peer");
  here.manner.then = Manner::Then::end;
  CHECK(here.run() == "fail: TLS handshake failed: the connection ended");
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("a check over TLS passes, whoever signed the certificate") {
  Checked here;
  here.manner.tls = here.check.tls = true;
  here.check.kind = conf::HealthCheck::Kind::tcp;
  CHECK(here.run() == "pass");
  REQUIRE(here.until([&] { return here.peers[0]->gone(); }));
  CHECK(here.peers[0]->tls->is_open());
  CHECK(here.peers[0]->tls->was_closed());
  CHECK(here.peers[0]->request == "");

  here.check.kind = conf::HealthCheck::Kind::http;
  here.check.body = "ready";
  here.manner.answer = kOk;
  CHECK(here.run() == "pass");
  CHECK(here.peers[1]->request.starts_with("GET / HTTP/1.1\r\n"));
  here.manner.answer = "HTTP/1.0 200 OK\r\n\r\nnot yet";
  CHECK(here.run() == "fail: the body does not contain the text");
  here.manner.answer = "HTTP/1.1 500 x\r\n\r\n";
  here.manner.pieces = 3;
  CHECK(here.run() == "fail: answered 500");
  here.tls.speak_only(TLS1_2_VERSION);
  here.manner.answer = kOk;
  CHECK(here.run() == "pass");
  REQUIRE(here.until([&] { return here.probe_has_no_socket(); }));
}

TEST_CASE("a check over TLS tells the host's name, and never an address") {
  Checked here;
  here.manner.tls = here.check.tls = true;
  here.manner.answer = kOk;
  const std::pair<const char*, const char*> names[] = {
      {"", ""},
      {"app.example", "app.example"},
      {"app.example:8443", "app.example"},
      {"app.example.", "app.example"},
      {"10.0.0.1", ""},
      {"10.0.0.1:443", ""},
      {"[::1]:443", ""},
      {"[::1]", ""},
  };
  for (const auto& [host, told] : names) {
    CAPTURE(host);
    here.check.host = host;
    CHECK(here.run() == "pass");
    CHECK(here.peers.back()->tls->server_name == told);
  }
  here.check.host = "";
  here.address.kind = conf::Address::Kind::host;
  here.address.host = "localhost";
  CHECK(here.run() == "pass");
  CHECK(here.peers.back()->tls->server_name == "localhost");
}

TEST_CASE("a check says why TLS failed") {
  Checked here;
  here.check.tls = true;
  here.manner.at_once = true;
  here.manner.answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
  CHECK(here.run() == "fail: TLS handshake failed: wrong version number");
  here.manner = {};
  here.manner.tls = true;
  here.manner.then = Manner::Then::stay;
  here.tls.require_certificates();
  CHECK(here.run() == "fail: TLS failed: tlsv13 alert certificate required");
  here.tls.speak_only(TLS1_2_VERSION);
  CHECK(here.run() == "fail: TLS handshake failed: sslv3 alert handshake failure");
  here.check.host = std::string(300, 'a');
  CHECK(here.run().starts_with("fail: TLS handshake failed: "));
  CHECK(here.probe_has_no_socket());
}

TEST_CASE("a server that says all it wants to say is not cut off by a check") {
  for (const bool with_tls : {false, true}) {
    Checked here;
    here.manner.tls = here.check.tls = with_tls;
    here.manner.answer = "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + std::string(40'000, 'x');
    here.manner.pieces = 1000;
    CHECK(here.run() == "pass");
    CHECK(here.peers[0]->said() < here.manner.answer.size());  // it passed by its head
    REQUIRE(here.until_served([&] { return here.peers[0]->gone(); }));
    CHECK(here.peers[0]->said() == here.manner.answer.size());
    CHECK(here.peers[0]->ended);
    CHECK(here.results.size() == 1);
    CHECK(here.until([&] { return here.probe_has_no_socket(); }));
  }
}

TEST_CASE("an answer without an end is cut, whether it has passed or not") {
  Checked here;
  here.manner.answer = "HTTP/1.1 200 OK\r\n\r\n" + std::string(4'000'000, 'x');
  here.manner.pieces = 10'000;
  CHECK(here.run() == "pass");
  REQUIRE(here.until_served([&] { return here.peers[0]->gone(); }));
  CHECK(here.peers[0]->said() < 1'000'000);
  here.check.body = "ready";
  CHECK(here.run() == "fail: the first 64 KiB of the body do not contain the text");
  REQUIRE(here.until_served([&] { return here.peers[1]->gone(); }));
  CHECK(here.peers[1]->said() < 1'000'000);
}

TEST_CASE("an answer that has passed and does not go on is left when the check's time is over") {
  Checked here;
  here.check.timeout = 100ms;
  here.manner.answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  here.manner.then = Manner::Then::stay;
  CHECK(here.run() == "pass");
  CHECK_FALSE(here.probe_has_no_socket());
  CHECK(here.until([&] { return here.probe_has_no_socket(); }));
  here.for_a_while();
  CHECK(here.results.size() == 1);
}

TEST_CASE("a check that is cancelled or destroyed, at whatever step, tells nothing and leaves nothing") {
  for (const bool with_tls : {false, true}) {
    for (const bool destroyed : {false, true}) {
      int finished = 0;
      for (int steps = 0; finished < 5; ++steps) {
        REQUIRE(steps < 2000);
        Checked here;
        here.manner.tls = here.check.tls = with_tls;
        here.manner.answer = "HTTP/1.1 100 x\r\n\r\n" + kOk;
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

TEST_CASE("a cancelled check that could not begin tells nothing") {
  Checked here;
  here.address = {conf::Address::Kind::host, "app.internal", 80};
  here.start();
  here.probe->cancel();
  here.for_a_while();
  CHECK(here.results.empty());
}

TEST_CASE("a check that is started anew is told once, by its last token") {
  Checked here;
  here.manner.answer = kOk;
  here.start(1);
  here.for_a_while();
  here.start(2);
  here.start(3);
  REQUIRE(here.until_served([&] { return !here.results.empty(); }));
  here.for_a_while();
  CHECK(here.tokens == std::vector<uint64_t>{3});
}

TEST_CASE("nothing of a check, at whatever step it is, goes over into the next") {
  bool finished = false;
  for (int steps = 0; !finished; ++steps) {
    REQUIRE(steps < 2000);
    Checked here;
    here.manner.tls = here.check.tls = true;
    here.manner.answer = kOk;
    here.manner.pieces = 8;
    here.start(1);
    for (int i = 0; i < steps; ++i) {
      uv_run(here.loop.uv(), UV_RUN_NOWAIT);
      here.turn();
    }
    finished = !here.results.empty();
    here.results.clear();
    here.manner.tls = here.check.tls = false;
    here.manner.answer = "HTTP/1.1 503 x\r\n\r\n";
    // A connection that the server had not met yet is met in the new manner, and was closed meanwhile.
    here.start(2);
    REQUIRE(here.until_served([&] { return !here.results.empty(); }));
    CHECK(here.results == std::vector<std::string>{"fail: answered 503"});
    CHECK(here.tokens.back() == 2);
  }
}

TEST_CASE("whoever hears of a check may start the next, or destroy the probe") {
  const auto pass_or_fail = [](Checked& here, int which) {
    here.manner.answer = kOk;
    if (which == 1) here.check.kind = conf::HealthCheck::Kind::tcp;
    if (which == 2) here.address.port = 1;
    if (which == 3) here.address = {conf::Address::Kind::host, "app.internal", 80};
    if (which == 4) here.check.tls = here.manner.tls = true;
    if (which == 5) {
      here.check.tls = here.manner.at_once = true;  // no TLS
    }
    if (which == 6) here.manner.then = Manner::Then::reset, here.manner.answer = "";
    if (which == 7) here.manner.then = Manner::Then::stay, here.manner.answer = "", here.check.timeout = 20ms;
  };
  for (int which = 0; which < 8; ++which) {
    CAPTURE(which);
    {
      Checked here;
      pass_or_fail(here, which);
      here.then = [&] {
        if (here.results.size() < 3) here.start(here.results.size());
      };
      here.start(0);
      REQUIRE(here.until_served([&] { return here.results.size() == 3; }));
      CHECK(here.tokens == std::vector<uint64_t>{0, 1, 2});
      CHECK(here.results[0] == here.results[1]);
      CHECK(here.results[0] == here.results[2]);
    }
    Checked here;
    pass_or_fail(here, which);
    here.then = [&] { here.probe.reset(); };
    here.start();
    REQUIRE(here.until_served([&] { return here.results.size() == 1; }));
    here.for_a_while();
    CHECK(here.probe_has_no_socket());
  }
}
