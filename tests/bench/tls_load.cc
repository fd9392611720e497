// A client that speaks TLS, as fast as answers come.
//   tls_load full|resumed|kept PORT HEADS CONNECTIONS SECONDS
//   tls_load idle PORT HEADS CONNECTIONS
// HEADS is a file of whole request heads, sent in turn. full: each request has a connection of its own, and
// each of these a full handshake; resumed: the same by sessions of earlier ones; kept: requests follow one
// another on each connection; idle: one request on each connection, which is then held until standard input
// ends. Prints JSON.
//
// What is agreed on is all that this client offers, so that it is the same with every server, whatever its
// OpenSSL would like best (3.5 prefers a hybrid group that 3.0 does not know, and that costs more): TLS 1.3,
// X25519, AES-128-GCM with SHA-256. A handshake that is not the one to be measured counts as wrong.
#include <openssl/ssl.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/answer.h"
#include "tests/bench/sockets.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{20};  // without an answer, before it gives up
constexpr size_t kAtOnce = 64;                 // connections being made, where they are held
constexpr unsigned char kAlpn[] = "\x08http/1.1";

enum class Kind { full, resumed, kept, idle };

struct FreeSsl {
  void operator()(SSL* tls) const { SSL_free(tls); }
};
struct FreeSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Session = std::unique_ptr<SSL_SESSION, FreeSession>;

class Load;

struct Connection {
  Load* load = nullptr;
  bench::Socket socket;
  std::unique_ptr<SSL, FreeSsl> tls;
  bench::Answer answer;
  Session session;  // the newest that the server gave
  bool is_open = false;
  bool owes_answer = false;
};

class Load {
 public:
  Load(Kind kind, uint16_t port, std::vector<std::string> heads, size_t connections)
      : kind_(kind), port_(port), heads_(std::move(heads)), connections_(connections) {
    context_ = SSL_CTX_new(TLS_client_method());
    for (Connection& connection : connections_) connection.load = this;
    const bool good = SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION) == 1 &&
                      SSL_CTX_set1_groups_list(context_, "X25519") == 1 &&
                      SSL_CTX_set_ciphersuites(context_, "TLS_AES_128_GCM_SHA256") == 1 &&
                      SSL_CTX_set_alpn_protos(context_, kAlpn, sizeof kAlpn - 1) == 0;
    if (!good) bench::die("OpenSSL");
    SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context_, [](SSL* tls, SSL_SESSION* session) {
      auto& connection = *static_cast<Connection*>(SSL_get_app_data(tls));
      connection.session.reset(session);
      connection.load->tickets_++;
      return 1;
    });
  }

  void run(double seconds) {
    if (kind_ == Kind::resumed) get_sessions();
    const Clock::time_point start = Clock::now();
    until_ = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    for (Connection& connection : connections_) open(connection);
    while (under_way_ != 0 && handle_events()) continue;
    print(std::chrono::duration<double>(Clock::now() - start).count());
  }

  void hold() {
    size_t begun = 0;
    do {
      while (begun < connections_.size() && under_way_ < kAtOnce) open(connections_[begun++]);
    } while (under_way_ != 0 && handle_events());
    print(0);
    while (std::getchar() != EOF) continue;
  }

 private:
  // One for all, until each has its own.
  void get_sessions() {
    kind_ = Kind::full;
    open(connections_.front());
    while (under_way_ != 0 && handle_events()) continue;
    kind_ = Kind::resumed;
    const SSL_SESSION* const session = connections_.front().session.get();
    for (size_t i = 1; i < connections_.size() && session != nullptr; ++i)
      connections_[i].session.reset(SSL_SESSION_dup(session));
    answered_ = tickets_ = 0;
  }

  // False: no answer has come for so long that none will.
  bool handle_events() {
    epoll_event events[256];
    const int count =
        ::epoll_wait(epoll_.fd(), events, 256, static_cast<int>(kPatience / std::chrono::milliseconds(1)));
    for (int i = 0; i < count; i++) {
      auto& connection = *static_cast<Connection*>(events[i].data.ptr);
      if (connection.tls != nullptr) advance(connection);
    }
    return count > 0;
  }

  void open(Connection& connection) {
    connection.socket = bench::connect_to(port_);
    if (!connection.socket.is_open()) bench::die("connect");
    bench::do_not_wait(connection.socket.fd());
    epoll_.add(connection.socket, &connection, EPOLLIN);
    connection.answer = {};
    connection.is_open = false;
    connection.owes_answer = true;
    connection.tls.reset(SSL_new(context_));
    SSL* const tls = connection.tls.get();
    SSL_set_app_data(tls, &connection);
    SSL_set_fd(tls, connection.socket.fd());
    SSL_set_tlsext_host_name(tls, "shop.example.com");
    if (kind_ == Kind::resumed && connection.session != nullptr) {
      // OpenSSL takes each session once; a server that gives no new ticket wants its old one used again.
      const Session copy(SSL_SESSION_dup(connection.session.get()));
      SSL_set_session(tls, copy.get());
    }
    under_way_++;
    advance(connection);
  }

  void advance(Connection& connection) {
    SSL* const tls = connection.tls.get();
    if (!connection.is_open) {
      const int result = SSL_connect(tls);
      if (result != 1) return stop_unless_waiting(connection, result);
      connection.is_open = true;
      if (!is_wanted(tls)) wrong_handshakes_++;
      send(connection);
    }
    while (connection.tls != nullptr) {
      const int got = SSL_read(tls, buffer_, sizeof buffer_);
      if (got <= 0) return stop_unless_waiting(connection, got);
      using Progress = bench::Answer::Progress;
      const Progress progress = connection.answer.take({buffer_, static_cast<size_t>(got)});
      if (progress == Progress::wrong) return fail(connection);
      if (progress == Progress::whole) return finish(connection);
    }
  }

  bool is_wanted(SSL* tls) const {
    return SSL_version(tls) == TLS1_3_VERSION && SSL_get_negotiated_group(tls) == NID_X25519 &&
           std::strcmp(SSL_get_cipher_name(tls), "TLS_AES_128_GCM_SHA256") == 0 &&
           (SSL_session_reused(tls) == 1) == (kind_ == Kind::resumed);
  }

  void send(Connection& connection) {
    const std::string& head = heads_[sent_++ % heads_.size()];
    if (SSL_write(connection.tls.get(), head.data(), static_cast<int>(head.size())) <= 0) fail(connection);
  }

  void finish(Connection& connection) {
    answered_++;
    if (!connection.answer.is_2xx()) not_2xx_++;
    const bool goes_on = Clock::now() < until_;
    if (kind_ == Kind::kept && goes_on) return send(connection);
    connection.owes_answer = false;
    under_way_--;
    if (kind_ == Kind::idle) return;
    SSL_shutdown(connection.tls.get());
    close(connection);
    if (goes_on) open(connection);
  }

  void stop_unless_waiting(Connection& connection, int result) {
    if (SSL_get_error(connection.tls.get(), result) != SSL_ERROR_WANT_READ) fail(connection);
  }

  // Not begun again, so that a server that fails them all is not asked for ever.
  void fail(Connection& connection) {
    failed_++;
    if (std::exchange(connection.owes_answer, false)) under_way_--;
    close(connection);
  }

  static void close(Connection& connection) {
    connection.tls.reset();
    connection.socket = bench::Socket();
  }

  void print(double took) const {
    std::printf(
        "{\"answered\": %zu, \"not_2xx\": %zu, \"failed\": %zu, \"wrong_handshakes\": %zu, \"tickets\": %zu, "
        "\"seconds\": %.3f}\n",
        answered_, not_2xx_, failed_ + under_way_, wrong_handshakes_, tickets_, took);
    std::fflush(stdout);
  }

  Kind kind_;
  const uint16_t port_;
  const std::vector<std::string> heads_;
  SSL_CTX* context_;
  bench::Epoll epoll_;
  std::vector<Connection> connections_;
  Clock::time_point until_{};
  size_t under_way_ = 0;  // of them: so many owe an answer
  size_t sent_ = 0, answered_ = 0, failed_ = 0, not_2xx_ = 0, wrong_handshakes_ = 0, tickets_ = 0;
  char buffer_[64 * 1024];
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  const Kind kind = word == "full"      ? Kind::full
                    : word == "resumed" ? Kind::resumed
                    : word == "kept"    ? Kind::kept
                                        : Kind::idle;
  if (argc != (kind == Kind::idle ? 5 : 6) || (kind == Kind::idle && word != "idle"))
    return std::fprintf(stderr,
                        "usage: tls_load full|resumed|kept PORT HEADS CONNECTIONS SECONDS\n"
                        "       tls_load idle PORT HEADS CONNECTIONS\n"),
           2;
  bench::raise_file_limit();
  std::vector<std::string> heads = bench::read_heads(argv[3]);
  if (heads.empty()) return std::fprintf(stderr, "tls_load: no request in %s\n", argv[3]), 1;
  auto load = std::make_unique<Load>(kind, static_cast<uint16_t>(std::strtoul(argv[2], nullptr, 10)),
                                     std::move(heads), std::strtoul(argv[4], nullptr, 10));
  if (kind == Kind::idle) {
    load->hold();
  } else {
    load->run(std::atof(argv[5]));
  }
}
