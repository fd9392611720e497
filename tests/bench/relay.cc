// A bare byte relay: what a proxy costs on this kernel when it does nothing but its system calls. One thread,
// one connection to the backend for each client, one read and one write for each piece; it knows nothing of
// HTTP.
//   relay PORT BACKEND_PORT
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/sockets.h"

namespace {

constexpr size_t kPiece = 64 * 1024;

// One direction's socket to read from, with what could not be written to the other one yet. Reading stops
// meanwhile.
struct Side {
  bench::Socket socket;
  Side* other = nullptr;
  std::string unsent;  // read from here, for the other side
  bool is_dead = false;

  uint32_t events() const {
    return (unsent.empty() ? EPOLLIN : 0u) | (other->unsent.empty() ? 0u : EPOLLOUT);
  }
};

struct Pair {
  Side client, backend;
};

class Relay {
 public:
  Relay(uint16_t port, uint16_t backend_port)
      : listener_(bench::listen_at(port)), backend_port_(backend_port) {
    epoll_.add(listener_, nullptr, EPOLLIN);
  }

  void run() {
    epoll_event events[256];
    for (;;) {
      const int count = ::epoll_wait(epoll_.fd(), events, 256, -1);
      for (int i = 0; i < count; i++) {
        if (auto* side = static_cast<Side*>(events[i].data.ptr)) {
          advance(*side, events[i].events);
        } else {
          accept();
        }
      }
      dead_.clear();  // only now: a later event of the same batch may be the pair's
    }
  }

 private:
  void accept() {
    for (;;) {
      bench::Socket client = bench::accept_from(listener_);
      if (!client.is_open()) return;
      bench::Socket backend = bench::connect_to(backend_port_);
      if (!backend.is_open()) continue;
      auto* pair = new Pair;
      pair->client.socket = std::move(client);
      pair->backend.socket = std::move(backend);
      pair->client.other = &pair->backend;
      pair->backend.other = &pair->client;
      epoll_.add(pair->client.socket, &pair->client, EPOLLIN);
      epoll_.add(pair->backend.socket, &pair->backend, EPOLLIN);
      pairs_.push_back(pair);
    }
  }

  void advance(Side& side, uint32_t events) {
    if (side.is_dead) return;
    bool is_alive = (events & EPOLLERR) == 0;
    if (is_alive && (events & EPOLLOUT) != 0) is_alive = send_unsent(*side.other);
    if (is_alive && (events & (EPOLLIN | EPOLLHUP)) != 0 && side.unsent.empty()) is_alive = relay(side);
    if (!is_alive) end(side);
  }

  bool relay(Side& from) {
    const ssize_t got = ::recv(from.socket.fd(), buffer_, sizeof buffer_, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    ssize_t sent =
        ::send(from.other->socket.fd(), buffer_, static_cast<size_t>(got), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) sent = 0;
    if (sent < got) {
      from.unsent.assign(buffer_ + sent, static_cast<size_t>(got - sent));
      rearm(from);
    }
    return true;
  }

  bool send_unsent(Side& from) {
    const ssize_t sent =
        ::send(from.other->socket.fd(), from.unsent.data(), from.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN;
    from.unsent.erase(0, static_cast<size_t>(sent));
    if (from.unsent.empty()) rearm(from);
    return true;
  }

  void rearm(Side& from) {
    epoll_.change(from.socket, &from, from.events());
    epoll_.change(from.other->socket, from.other, from.other->events());
  }

  void end(Side& side) {
    side.is_dead = side.other->is_dead = true;
    for (size_t i = 0; i < pairs_.size(); i++) {
      if (&pairs_[i]->client != &side && &pairs_[i]->backend != &side) continue;
      dead_.emplace_back(pairs_[i]);
      pairs_[i] = pairs_.back();
      pairs_.pop_back();
      return;
    }
  }

  bench::Epoll epoll_;
  bench::Socket listener_;
  const uint16_t backend_port_;
  std::vector<Pair*> pairs_;
  std::vector<std::unique_ptr<Pair>> dead_;
  char buffer_[kPiece];
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: relay PORT BACKEND_PORT\n"), 2;
  bench::raise_file_limit();
  const auto port = [&](int i) { return static_cast<uint16_t>(std::atoi(argv[i])); };
  std::make_unique<Relay>(port(1), port(2))->run();
}
