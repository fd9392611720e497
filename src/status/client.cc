#include "src/status/client.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "conf/ascii.h"
#include "conf/ip_address.h"
#include "src/http/parser.h"
#include "src/net/openssl.h"

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

// Whoever has the key of a certificate that is trusted itself is believed, by whatever name it is called:
// whoever named the certificate meant this server.
int on_verified(int good, X509_STORE_CTX* checked) {
  const int wrong = X509_STORE_CTX_get_error(checked);
  if (good == 1 || (wrong != X509_V_ERR_HOSTNAME_MISMATCH && wrong != X509_V_ERR_IP_ADDRESS_MISMATCH))
    return good;
  X509* const shown = X509_STORE_CTX_get0_cert(checked);
  STACK_OF(X509)* const namesakes = X509_STORE_CTX_get1_certs(checked, X509_get_subject_name(shown));
  bool is_trusted = false;
  for (int i = 0; i < sk_X509_num(namesakes); ++i)
    is_trusted = is_trusted || X509_cmp(sk_X509_value(namesakes, i), shown) == 0;
  sk_X509_pop_free(namesakes, X509_free);
  if (is_trusted) X509_STORE_CTX_set_error(checked, X509_V_OK);
  return is_trusted ? 1 : 0;
}

bool is_of_nobody_known(long verdict) {
  return verdict == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
         verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
         verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
         verdict == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

// What goes through a socket, plainly or by TLS.
class Channel {
 public:
  Channel(const Socket& socket, net::SslPtr tls)
      : socket_(socket), tls_(std::move(tls)) {  // nullptr: plainly
    if (!tls_) return;
    SSL_set_bio(tls_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_verify(tls_.get(), SSL_VERIFY_PEER, on_verified);
  }

  bool is_tls() const { return tls_ != nullptr; }

  // Empty, or what is wrong.
  std::string shake_hands() {
    bool is_first = true;
    while (tls_) {
      ERR_clear_error();
      const int result = SSL_do_handshake(tls_.get());
      const bool goes_on = result != 1 && SSL_get_error(tls_.get(), result) == SSL_ERROR_WANT_READ;
      const std::string wrong = result == 1 || goes_on ? "" : failure();
      if (!flush() && wrong.empty()) return std::strerror(errno);
      if (!goes_on) return wrong;
      const ssize_t got = feed();
      if (got < 0) return std::string("no TLS handshake: ") + std::strerror(errno);
      if (got == 0) return "the connection was closed within the TLS handshake";
      if (std::exchange(is_first, false) && !begins_record_)
        return "no TLS is spoken there: http:// asks without";
    }
    return {};
  }

  bool send(std::string_view bytes) {
    if (!tls_) return send_all(socket_, bytes);
    size_t sealed = 0;
    ERR_clear_error();
    errno = EPROTO;
    return SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &sealed) == 1 && flush();
  }

  // As receive(socket, in).
  ssize_t receive(std::string& in) {
    if (!tls_) return status::receive(socket_, in);
    for (;;) {
      const size_t had = in.size();
      size_t got = 0;
      in.resize(had + kReadSize);
      ERR_clear_error();
      const int result = SSL_read_ex(tls_.get(), in.data() + had, kReadSize, &got);
      in.resize(had + got);
      if (result == 1) return static_cast<ssize_t>(got);
      const int error = SSL_get_error(tls_.get(), result);
      if (error == SSL_ERROR_ZERO_RETURN) return 0;
      errno = EPROTO;
      if (error != SSL_ERROR_WANT_READ) return -1;
      if (const ssize_t came = feed(); came <= 0) return came;
    }
  }

 private:
  // What has come, into TLS: its size, 0 at the end, or -1 and errno.
  ssize_t feed() {
    std::string wire;
    const ssize_t got = status::receive(socket_, wire);
    if (got <= 0) return got;
    begins_record_ = wire.front() == SSL3_RT_HANDSHAKE || wire.front() == SSL3_RT_ALERT;
    BIO_write(SSL_get_rbio(tls_.get()), wire.data(), static_cast<int>(wire.size()));
    return got;
  }
  // What TLS has to say, to the other side.
  bool flush() {
    BIO* const out = SSL_get_wbio(tls_.get());
    std::string wire(BIO_ctrl_pending(out), '\0');
    if (!wire.empty()) BIO_read(out, wire.data(), static_cast<int>(wire.size()));
    return send_all(socket_, wire);
  }
  std::string failure() const {
    const long verdict = SSL_get_verify_result(tls_.get());
    if (verdict == X509_V_OK) return std::string("the TLS handshake failed: ") + net::openssl_reason();
    return std::string("its certificate is not trusted: ") + X509_verify_cert_error_string(verdict) +
           (is_of_nobody_known(verdict) ? " (--ca FILE or LIMPET_CA says whom to trust)" : "");
  }

  const Socket& socket_;
  const net::SslPtr tls_;
  bool begins_record_ = false;  // of a handshake, what came last
};

struct Collected final : http::BodySink {
  std::string body;
  void on_body(std::string_view piece) override { body.append(piece); }
  void on_body_end(const http::Fields&) override {}
};

// The answer that comes, or what is wrong with it.
std::variant<Client::Reply, std::string> read_reply(Channel& channel) {
  const std::string not_limpet = "what answers there is not Limpet's status endpoint";
  std::string in;
  size_t searched = 0;
  http::HeadSearch search;
  for (;;) {
    search = http::find_head(in, searched, kLimits);
    if (search.fault) return not_limpet;
    if (search.size != 0) break;
    const ssize_t got = channel.receive(in);
    if (got < 0) return std::string("no answer: ") + std::strerror(errno);
    if (got == 0 && in.empty())
      return std::string("the connection was closed without an answer") +
             (channel.is_tls() ? "" : " (where TLS is spoken, https:// or --ca FILE asks by it)");
    if (got == 0) return not_limpet;
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
    const ssize_t got = channel.receive(in);
    if (got < 0) return std::string("half an answer: ") + std::strerror(errno);
    if (got == 0 && !parser.end_of_stream(collected)) return "half an answer: the connection was closed";
  }
  return Client::Reply{parsed.status, std::move(collected.body)};
}

}  // namespace

Client::Client(conf::Address address, std::string token, std::string who, net::SharedTlsTrust trust)
    : address_(std::move(address)),
      token_(std::move(token)),
      who_(std::move(who)),
      trust_(std::move(trust)) {}

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

  std::string wrong;
  const auto connector = trust_ != nullptr ? net::TlsConnector::make(trust_, wrong) : nullptr;
  if (!wrong.empty()) return wrong;
  net::TlsSession session;  // of this one connection
  int error = 0;
  for (const addrinfo* to = found.get(); to != nullptr; to = to->ai_next) {
    const Socket socket(::socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                        Clock::now() + kPatience);
    if (connect(socket, *to)) {
      net::SslPtr tls = connector != nullptr ? connector->connect(address_, session) : nullptr;
      if (connector != nullptr && tls == nullptr) return where + ": " + net::openssl_reason();
      Channel channel(socket, std::move(tls));
      if (wrong = channel.shake_hands(); !wrong.empty()) return where + ": " + wrong;
      if (!channel.send(request)) return where + ": " + std::strerror(errno);
      auto reply = read_reply(channel);
      if (auto* why = std::get_if<std::string>(&reply)) *why = where + ": " + *why;
      return reply;
    }
    error = errno;
  }
  if (error == ECONNREFUSED)
    return "nothing listens at " + where +
           ": is Limpet running there, and does its [status] say this address?";
  return where + ": " + std::strerror(error);
}

std::optional<Where> parse_where(std::string_view text, bool tls) {
  for (const auto& [scheme, is_tls] : {std::pair("http://", false), {"https://", true}}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(std::string_view(scheme).size());
    tls = is_tls;
    break;
  }
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
  return Where{std::move(address), tls};
}

}  // namespace limpet::status
