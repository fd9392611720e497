#include "src/status/client.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "conf/ascii.h"
#include "conf/ip_address.h"
#include "src/http/parser.h"

namespace limpet::status {

namespace {

using Clock = std::chrono::steady_clock;

constexpr http::HeadLimits kLimits{.head = 64 * 1024, .target = 64 * 1024, .fields = 100};
constexpr size_t kReadSize = 64 * 1024;

// A socket, and how long there is for what is left to do with it.
class Socket {
 public:
  Socket(int fd, Clock::time_point until) : fd_(fd), until_(until) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

  // False and errno when it does not happen in time.
  bool wait_for(short events) const {
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until_ - Clock::now()).count();
      pollfd waiting{.fd = fd_, .events = events, .revents = 0};
      const int ready = left <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left));
      if (ready > 0) return true;
      if (ready < 0 && errno == EINTR) continue;
      if (ready == 0) errno = ETIMEDOUT;
      return false;
    }
  }

 private:
  const int fd_;
  const Clock::time_point until_;
};

struct FreeAddresses {
  void operator()(addrinfo* found) const { freeaddrinfo(found); }
};

bool connect(const Socket& socket, const addrinfo& to) {
  if (socket.fd() < 0) return false;
  if (::connect(socket.fd(), to.ai_addr, to.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS || !socket.wait_for(POLLOUT)) return false;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return false;
  errno = error;
  return error == 0;
}

bool send_all(const Socket& socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno != EAGAIN || !socket.wait_for(POLLOUT)) {
      return false;
    }
  }
  return true;
}

// What came next is appended: its size, 0 at the end, or -1 and errno.
ssize_t receive(const Socket& socket, std::string& in) {
  if (!socket.wait_for(POLLIN)) return -1;
  const size_t had = in.size();
  in.resize(had + kReadSize);
  const ssize_t got = ::recv(socket.fd(), in.data() + had, kReadSize, 0);
  in.resize(had + static_cast<size_t>(got > 0 ? got : 0));
  return got;
}

struct Collected final : http::BodySink {
  std::string body;
  void on_body(std::string_view piece) override { body.append(piece); }
  void on_body_end(const http::Fields&) override {}
};

// The answer that comes, or what is wrong with it.
std::variant<Client::Reply, std::string> read_reply(const Socket& socket) {
  const std::string not_limpet = "what answers there is not Limpet's status endpoint";
  std::string in;
  size_t searched = 0;
  http::HeadSearch search;
  for (;;) {
    search = http::find_head(in, searched, kLimits);
    if (search.fault) return not_limpet;
    if (search.size != 0) break;
    const ssize_t got = receive(socket, in);
    if (got < 0) return std::string("no answer: ") + std::strerror(errno);
    if (got == 0) return in.empty() ? "the connection was closed without an answer" : not_limpet;
  }
  const std::string head = in.substr(0, search.size);
  in.erase(0, search.size);
  http::Parser parser;
  http::ResponseHead parsed;
  if (parser.parse_response(head, kLimits, false, parsed)) return not_limpet;

  Collected collected;
  while (!parser.body_ended()) {
    http::Fault fault;
    parser.feed(in, collected, fault);
    in.clear();
    if (fault || collected.body.size() > Client::kMostBody) return not_limpet;
    if (parser.body_ended()) break;
    const ssize_t got = receive(socket, in);
    if (got < 0) return std::string("half an answer: ") + std::strerror(errno);
    if (got == 0 && !parser.end_of_stream(collected)) return "half an answer: the connection was closed";
  }
  return Client::Reply{parsed.status, std::move(collected.body)};
}

}  // namespace

Client::Client(conf::Address address, std::string token, std::string who)
    : address_(std::move(address)), token_(std::move(token)), who_(std::move(who)) {}

std::variant<Client::Reply, std::string> Client::send(std::string_view method,
                                                      const std::string& target) const {
  const std::string where = address_.text();
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int error =
          getaddrinfo(address_.host.c_str(), std::to_string(address_.port).c_str(), &wanted, &raw))
    return "no address for " + where + ": " + gai_strerror(error);
  const std::unique_ptr<addrinfo, FreeAddresses> found(raw);

  std::string request = std::string(method) + " " + target + " HTTP/1.1\r\n";
  http::add_field(request, "Host", where);
  http::add_field(request, "Connection", "close");
  http::add_field(request, "Accept", "application/json");
  if (!token_.empty()) http::add_field(request, "Authorization", "Bearer " + token_);
  if (!who_.empty()) http::add_field(request, "X-Limpet", who_);
  request += "\r\n";

  int error = 0;
  for (const addrinfo* to = found.get(); to != nullptr; to = to->ai_next) {
    const Socket socket(::socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                        Clock::now() + kPatience);
    if (connect(socket, *to)) {
      if (!send_all(socket, request)) return where + ": " + std::strerror(errno);
      auto reply = read_reply(socket);
      if (auto* wrong = std::get_if<std::string>(&reply)) *wrong = where + ": " + *wrong;
      return reply;
    }
    error = errno;
  }
  if (error == ECONNREFUSED)
    return "nothing listens at " + where +
           ": is Limpet running there, and does its [status] say this address?";
  return where + ": " + std::strerror(error);
}

std::optional<conf::Address> parse_where(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (text.starts_with(kScheme)) text.remove_prefix(kScheme.size());
  if (text.ends_with('/')) text.remove_suffix(1);
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  conf::Address address;
  address.port = whole_number<uint16_t>(text.substr(colon + 1)).value_or(0);
  if (address.port == 0) return std::nullopt;
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  if (in_brackets) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find_first_of(" /@[]\r\n") != std::string_view::npos) return std::nullopt;
  const bool is_ip = conf::IpAddress::parse(host).has_value();
  if (host.find(':') != std::string_view::npos && !(is_ip && in_brackets)) return std::nullopt;
  address.host = host;
  address.kind = is_ip ? conf::Address::Kind::ip : conf::Address::Kind::host;
  return address;
}

}  // namespace limpet::status
