// The servers behind the proxies: one thread that listens at several ports, each a backend of its own, and
// answers from memory: see shop.h. A client that begins with HTTP/2 is answered by that, any other by HTTP/1.
//   origin SMALL_BYTES LARGE_BYTES PORT...
#include <sys/uio.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bench/origin_http2.h"
#include "tests/bench/shop.h"
#include "tests/bench/sockets.h"

namespace {

using bench::Shop;

constexpr std::string_view kEndOfHead = "\r\n\r\n";

struct Backend {
  bench::Socket listener;
  uint16_t port = 0;
  std::string small;  // whole answers
  std::string large_head;
};

struct Connection {
  bench::Socket socket;
  Backend* backend = nullptr;
  std::string in;
  std::string out;          // not sent yet
  size_t large_bodies = 0;  // that follow `out`
  size_t sent_of_body = 0;  // of the first of them
  bool waits_to_write = false;
  std::unique_ptr<bench::Http2> http2;  // where that is spoken
};

class Origin {
 public:
  Origin(size_t small, size_t large) : shop_(small, large) {}

  void add(uint16_t port) {
    auto backend = std::make_unique<Backend>();
    backend->listener = bench::listen_at(port);
    backend->port = port;
    backend->small = answer(port, shop_.small());
    backend->large_head = head(port, shop_.large().size());
    backends_.push_back(std::move(backend));
  }

  void run() {
    for (auto& backend : backends_) epoll_.add(backend->listener, backend.get(), EPOLLIN);
    epoll_event events[256];
    for (;;) {
      const int count = ::epoll_wait(epoll_.fd(), events, 256, -1);
      for (int i = 0; i < count; i++) {
        void* owner = events[i].data.ptr;
        const auto is_owner = [owner](const auto& backend) { return backend.get() == owner; };
        if (std::any_of(backends_.begin(), backends_.end(), is_owner)) {
          accept(static_cast<Backend*>(owner));
        } else if (auto* connection = static_cast<Connection*>(owner);
                   !advance(*connection, events[i].events)) {
          delete connection;
        }
      }
    }
  }

 private:
  static std::string head(uint16_t port, size_t body, const std::string& cookie = "") {
    std::string head = "HTTP/1.1 200 OK\r\n";
    const auto add = [&head](std::string_view name, std::string_view value) {
      head.append(name).append(": ").append(value).append("\r\n");
    };
    add("Server", bench::kServer);
    add("Content-Type", bench::kType);
    add("Cache-Control", bench::kCaching);
    if (!cookie.empty()) add("Set-Cookie", cookie);
    add("X-Backend", std::to_string(port));
    add("Content-Length", std::to_string(body));
    return head + "\r\n";
  }

  static std::string answer(uint16_t port, std::string_view body, const std::string& cookie = "") {
    return head(port, body.size(), cookie).append(body);
  }

  void accept(Backend* backend) {
    for (;;) {
      bench::Socket socket = bench::accept_from(backend->listener);
      if (!socket.is_open()) return;
      auto* connection = new Connection;
      connection->socket = std::move(socket);
      connection->backend = backend;
      epoll_.add(connection->socket, connection, EPOLLIN);
    }
  }

  bool advance(Connection& connection, uint32_t events) {
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !read(connection)) return false;
    return write(connection);
  }

  bool read(Connection& connection) {
    const ssize_t got = ::recv(connection.socket.fd(), buffer_, sizeof buffer_, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    const std::string_view came(buffer_, static_cast<size_t>(got));
    if (connection.http2 != nullptr) return connection.http2->take(came);
    std::string& in = connection.in;
    in.append(came);
    if (in.starts_with(bench::Http2::kPreface)) {
      connection.http2 = std::make_unique<bench::Http2>(shop_, connection.backend->port);
      return connection.http2->take(std::exchange(in, {}));
    }
    if (bench::Http2::kPreface.starts_with(in)) return true;
    size_t done = 0;
    for (size_t end; (end = in.find(kEndOfHead, done)) != std::string::npos; done = end + kEndOfHead.size()) {
      answer(connection, std::string_view(in).substr(done, end - done));
    }
    in.erase(0, done);
    return true;
  }

  void answer(Connection& connection, std::string_view request) {
    const std::string_view target = request.substr(std::min(request.find(' ') + 1, request.size()));
    const Backend& backend = *connection.backend;
    const Shop::Reply reply = shop_.answer(target, request, backend.port);
    switch (reply.kind) {
      case Shop::Kind::small:
        connection.out +=
            reply.cookie.empty() ? backend.small : answer(backend.port, shop_.small(), reply.cookie);
        return;
      case Shop::Kind::large:
        connection.out += backend.large_head;
        connection.large_bodies++;
        return;
      case Shop::Kind::text:
        connection.out += answer(backend.port, reply.text);
        return;
      case Shop::Kind::none:
        return;
    }
  }

  bool write(Connection& connection) {
    const std::string_view large = shop_.large();
    for (;;) {
      if (connection.http2 != nullptr) connection.http2->gather(connection.out);
      if (connection.out.empty() && connection.large_bodies == 0) break;
      iovec pieces[2] = {{connection.out.data(), connection.out.size()},
                         {const_cast<char*>(large.data()) + connection.sent_of_body,
                          large.size() - connection.sent_of_body}};
      msghdr message{};
      message.msg_iov = pieces;
      message.msg_iovlen = connection.large_bodies > 0 ? 2 : 1;
      const ssize_t sent = ::sendmsg(connection.socket.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN) return false;
      if (sent < 0) {
        wait_to_write(connection, true);
        return true;
      }
      const size_t of_out = std::min(static_cast<size_t>(sent), connection.out.size());
      connection.out.erase(0, of_out);
      connection.sent_of_body += static_cast<size_t>(sent) - of_out;
      if (connection.sent_of_body == large.size()) {
        connection.large_bodies--;
        connection.sent_of_body = 0;
      }
    }
    wait_to_write(connection, false);
    return true;
  }

  void wait_to_write(Connection& connection, bool wait) {
    if (connection.waits_to_write == wait) return;
    connection.waits_to_write = wait;
    epoll_.change(connection.socket, &connection, wait ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  bench::Epoll epoll_;
  std::vector<std::unique_ptr<Backend>> backends_;
  Shop shop_;
  char buffer_[64 * 1024];
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: origin SMALL_BYTES LARGE_BYTES PORT...\n"), 2;
  bench::raise_file_limit();
  const auto number = [&](int i) { return std::strtoul(argv[i], nullptr, 10); };
  auto origin = std::make_unique<Origin>(number(1), number(2));
  for (int i = 3; i < argc; i++) origin->add(static_cast<uint16_t>(number(i)));
  origin->run();
}
