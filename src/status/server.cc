#include "src/status/server.h"

#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "src/net/calls.h"
#include "src/net/listener.h"
#include "src/net/loop.h"
#include "src/net/tls_stream.h"
#include "src/status/asker.h"
#include "src/status/connection.h"
#include "src/status/endpoint.h"

namespace limpet::status {

namespace {

constexpr net::Millis kEvery = 1000;  // between two events

// Whoever is accepted has its turn to be read before others that connect may take its room.
constexpr net::Intake kOneByOne{.at_once = 1};

uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);  // at the same place in IPv6
}

}  // namespace

class Server::Thread final : net::Acceptor, net::DeadlineOwner, public ConnectionOwner {
 public:
  Thread(const conf::Status& settings, const std::string& token, Control& control,
         net::Descriptors& descriptors)
      : endpoint_(control, token),
        descriptors_(descriptors),
        calls_(loop_.uv()),
        tick_(loop_.deadlines(), *this) {
    listener_settings_.name = "status";
    listener_settings_.address = *settings.address;
    uv_async_init(loop_.uv(), &stop_, [](uv_async_t* stop) {
      Thread& self = *static_cast<Thread*>(stop->data);
      self.end();
      self.loop_.stop();
    });
    stop_.data = this;
  }

  ~Thread() {
    asker_.stop();
    if (thread_.joinable()) {
      uv_async_send(&stop_);
      thread_.join();
    } else {
      end();
    }
  }

  bool listen(std::string& error) {
    const int fd = net::bind_socket(listener_settings_.address, true, error);
    if (fd < 0) return false;
    port_ = port_of(fd);
    listener_ = net::Listener::listen(loop_, fd, listener_settings_, descriptors_, kOneByOne, *this, error);
    return listener_ != nullptr;
  }

  // On the loop's thread, or before that runs. False, and why in `error`: what was shown so far stays.
  bool show(const net::SharedTlsIdentity& identity, std::string& error) {
    if (identity == nullptr) return tls_.reset(), true;
    if (tls_ != nullptr && &tls_->identity() == identity.get()) return true;
    std::shared_ptr<net::TlsServer> made = net::TlsServer::make(identity, error);
    if (made == nullptr) return false;
    tls_ = std::move(made);
    return true;
  }

  void use(net::SharedTlsIdentity identity) {
    calls_.post([this, identity = std::move(identity)](bool open) {
      std::string error;
      if (open && !show(identity, error)) spdlog::error("status: {}", error);
    });
  }

  void require(std::string_view token) { endpoint_.require(token); }

  void start() {
    thread_ = std::thread([this] { loop_.run(); });
    asker_.start();
  }

  uint16_t port() const { return port_; }

 private:
  void end() {
    if (listener_ != nullptr) listener_->close();
    for (Connection* connection : all()) connection->close();
    tick_.clear();
    calls_.close();
    uv_close(reinterpret_cast<uv_handle_t*>(&stop_), nullptr);
  }

  std::vector<Connection*> all() const {
    std::vector<Connection*> pointers;
    for (const auto& connection : connections_) pointers.push_back(connection.get());
    return pointers;
  }

  void on_accepted(net::UvStream* stream, const conf::IpAddress& peer) override {
    if (connections_.size() >= descriptors_.for_status()) make_room();
    connections_.push_back(std::make_unique<Connection>(loop_.deadlines(), *this, next_id_++, peer.text()));
    Connection& connection = *connections_.back();
    if (tls_ != nullptr) return shake_hands(connection, net::StreamPtr(stream));
    connection.attach(net::StreamPtr(stream));
    stream->start(connection.as_owner());
  }

  // The stream keeps the certificates that its handshake began with, whatever is shown meanwhile.
  void shake_hands(Connection& connection, net::StreamPtr below) {
    auto* const stream = new net::TlsStream(tls_room_, tls_->accept());
    stream->keep(tls_);
    stream->attach(std::move(below));
    connection.attach_tls(net::StreamPtr(stream));
    stream->start(connection.as_owner());
    stream->accept({});
  }

  void on_shortage() override {
    if (!connections_.empty()) make_room();
  }

  void make_room() {
    const auto least =
        std::min_element(connections_.begin(), connections_.end(),
                         [](const auto& one, const auto& other) { return one->worth() < other->worth(); });
    (*least)->close();
  }

  // Health is answered here, whatever the main thread does.
  void on_asked(Connection& connection, const Ask& ask) override {
    if (Endpoint::answers_at_once(ask)) return connection.answer(endpoint_.answer(ask));
    asker_.ask(connection.id(), [this, id = connection.id(), kept = KeptAsk(ask)] {
      calls_.post([this, id, answer = endpoint_.answer(kept.view())](bool open) {
        if (open) on_answered(id, answer);
      });
    });
  }

  void on_answered(uint64_t id, const Answer& answer) {
    const auto asked = std::find_if(connections_.begin(), connections_.end(),
                                    [id](const auto& connection) { return connection->id() == id; });
    if (asked == connections_.end()) return;
    if (!answer.events) return (*asked)->answer(answer);
    const auto streams = std::count_if(connections_.begin(), connections_.end(),
                                       [](const auto& connection) { return connection->is_streaming(); });
    if (static_cast<size_t>(streams) >= descriptors_.for_status() / kStreamsOneIn) {
      Answer refusal = failure(503, "too many streams of events");
      refusal.last = true;
      return (*asked)->answer(refusal);
    }
    (*asked)->answer(answer);
    if (!tick_.is_set()) tick_.set(loop_.deadlines().now() + kEvery);
  }

  void on_closed(Connection& closed) override {
    asker_.drop(closed.id());
    const auto at = std::find_if(connections_.begin(), connections_.end(),
                                 [&](const auto& connection) { return connection.get() == &closed; });
    loop_.graveyard().bury(std::move(*at));
    connections_.erase(at);
  }

  bool has_streams() const {
    return std::any_of(connections_.begin(), connections_.end(),
                       [](const auto& connection) { return connection->is_streaming(); });
  }

  void on_deadline() override {
    if (!has_streams()) return;
    tick_.set(loop_.deadlines().now() + kEvery);
    asker_.drop(kEvent);  // the last one is late
    asker_.ask(kEvent, [this] {
      calls_.post([this, event = endpoint_.event()](bool open) {  // made once for all
        for (Connection* connection : all()) {
          if (open && connection->is_streaming()) connection->send_event(event);
        }
      });
    });
  }

  static constexpr uint64_t kEvent = 0;  // to the asker: no connection's id

  net::Loop loop_;
  Endpoint endpoint_;  // asked by both threads
  net::Descriptors& descriptors_;
  net::TlsRoom tls_room_{loop_.graveyard()};
  std::shared_ptr<net::TlsServer> tls_;  // nullptr: new connections are plain
  net::Calls calls_;                     // from the asker and the balancer's main thread
  Asker asker_;
  conf::Listener listener_settings_;
  net::Listener* listener_ = nullptr;  // frees itself
  std::vector<std::unique_ptr<Connection>> connections_;
  uint64_t next_id_ = kEvent + 1;
  net::Deadline tick_;
  uv_async_t stop_;
  uint16_t port_ = 0;
  std::thread thread_;
};

Server::Server(std::unique_ptr<Thread> thread) : thread_(std::move(thread)) {}
Server::~Server() = default;

uint16_t Server::port() const { return thread_->port(); }

void Server::use(net::SharedTlsIdentity identity) { thread_->use(std::move(identity)); }

void Server::require(std::string_view token) { thread_->require(token); }

std::variant<std::unique_ptr<Server>, std::string> Server::start(const conf::Status& settings,
                                                                 const std::string& token, Control& control,
                                                                 net::Descriptors& descriptors,
                                                                 const net::SharedTlsIdentity& identity) {
  auto thread = std::make_unique<Thread>(settings, token, control, descriptors);
  std::string error;
  if (!thread->show(identity, error)) return error;
  if (!thread->listen(error)) return "[status] address: cannot listen on " + error;
  thread->start();
  return std::unique_ptr<Server>(new Server(std::move(thread)));
}

}  // namespace limpet::status
