// The servers behind the proxies: one thread that listens at several ports, each a backend of its own, and
// answers from memory.
//   origin SMALL_BYTES LARGE_BYTES PORT...
// GET /login sets a new JSESSIONID; /large... has the large body; /counters tells "REQUESTS LOGINS STRAYS"
// since the start, where a stray is a request whose session was at another port before; everything else has
// the small body. X-Backend is the port.
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/sockets.h"

namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::string_view kCookie = "JSESSIONID=";
constexpr size_t kDigits = 16;
constexpr char kType[] =
    "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n";

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
};

class Origin {
 public:
  Origin(size_t small, size_t large) : small_(small, 's'), large_(large, 'l') {}

  void add(uint16_t port) {
    auto backend = std::make_unique<Backend>();
    backend->listener = bench::listen_at(port);
    backend->port = port;
    backend->small = head(port, small_.size(), "") + small_;
    backend->large_head = head(port, large_.size(), "");
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
  static std::string head(uint16_t port, size_t body, const std::string& cookie) {
    return kType + cookie + "X-Backend: " + std::to_string(port) +
           "\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n";
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
    std::string& in = connection.in;
    in.append(buffer_, static_cast<size_t>(got));
    size_t done = 0;
    for (size_t end; (end = in.find(kEndOfHead, done)) != std::string::npos; done = end + kEndOfHead.size()) {
      answer(connection, std::string_view(in).substr(done, end - done));
    }
    in.erase(0, done);
    return true;
  }

  void answer(Connection& connection, std::string_view request) {
    const std::string_view target = request.substr(std::min(request.find(' ') + 1, request.size()));
    if (target.starts_with("/counters")) {
      const std::string body =
          std::to_string(requests_) + " " + std::to_string(homes_.size()) + " " + std::to_string(strays_);
      connection.out += head(connection.backend->port, body.size(), "") + body;
      return;
    }
    requests_++;
    if (target.starts_with("/login")) {
      char cookie[80];
      std::snprintf(cookie, sizeof cookie, "Set-Cookie: JSESSIONID=%016zX; Path=/; HttpOnly\r\n",
                    homes_.size());
      homes_.push_back(0);
      connection.out += head(connection.backend->port, small_.size(), cookie) + small_;
      return;
    }
    follow_session(request, connection.backend->port);
    if (target.starts_with("/large")) {
      connection.out += connection.backend->large_head;
      connection.large_bodies++;
    } else {
      connection.out += connection.backend->small;
    }
  }

  void follow_session(std::string_view request, uint16_t port) {
    const size_t at = request.find(kCookie);
    if (at == std::string_view::npos) return;
    const std::string digits(request.substr(at + kCookie.size(), kDigits));
    const size_t number = std::strtoull(digits.c_str(), nullptr, 16);
    if (number >= homes_.size()) return;
    if (homes_[number] != 0 && homes_[number] != port) strays_++;
    homes_[number] = port;
  }

  bool write(Connection& connection) {
    while (!connection.out.empty() || connection.large_bodies > 0) {
      iovec pieces[2] = {{connection.out.data(), connection.out.size()},
                         {large_.data() + connection.sent_of_body, large_.size() - connection.sent_of_body}};
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
      if (connection.sent_of_body == large_.size()) {
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
  std::string small_, large_;
  std::vector<uint16_t> homes_;  // by session number: the port that had its last request; 0: none yet
  uint64_t requests_ = 0, strays_ = 0;
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
