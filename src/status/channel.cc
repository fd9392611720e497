#include "src/status/channel.h"

#include <openssl/err.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace limpet::status {

namespace {

constexpr size_t kReadSize = 64 * 1024;

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

bool has_unknown_issuer(long verdict) {
  return verdict == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
         verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
         verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
         verdict == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

}  // namespace

// ---- the socket

Socket::Socket(int family, Clock::time_point deadline)
    : fd_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), deadline_(deadline) {}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

bool Socket::wait_for(short events) const {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    pollfd waiting{.fd = fd_, .events = events, .revents = 0};
    const int ready = left <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) errno = ETIMEDOUT;
    return false;
  }
}

bool Socket::connect(const sockaddr* address, socklen_t size) const {
  if (fd_ < 0) return false;
  if (::connect(fd_, address, size) == 0) return true;
  if (errno != EINPROGRESS || !wait_for(POLLOUT)) return false;
  int error = 0;
  socklen_t size_of_error = sizeof error;
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size_of_error) != 0) return false;
  errno = error;
  return error == 0;
}

bool Socket::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno != EAGAIN || !wait_for(POLLOUT)) {
      return false;
    }
  }
  return true;
}

ssize_t Socket::receive(std::string& in) const {
  if (!wait_for(POLLIN)) return -1;
  const size_t had = in.size();
  in.resize(had + kReadSize);
  const ssize_t got = ::recv(fd_, in.data() + had, kReadSize, 0);
  in.resize(had + static_cast<size_t>(got > 0 ? got : 0));
  return got;
}

// ---- what goes through it

Channel::Channel(const Socket& socket, net::SslPtr tls) : socket_(socket), tls_(std::move(tls)) {
  if (!tls_) return;
  SSL_set_bio(tls_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_verify(tls_.get(), SSL_VERIFY_PEER, on_verified);
}

std::string Channel::shake_hands() {
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
    if (std::exchange(is_first, false) && !began_a_record_)
      return "no TLS is spoken there: http:// asks without";
  }
  return {};
}

bool Channel::send(std::string_view bytes) {
  if (!tls_) return socket_.send(bytes);
  size_t sealed = 0;
  ERR_clear_error();
  errno = EPROTO;
  return SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &sealed) == 1 && flush();
}

ssize_t Channel::receive(std::string& in) {
  if (!tls_) return socket_.receive(in);
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

ssize_t Channel::feed() {
  std::string wire;
  const ssize_t got = socket_.receive(wire);
  if (got <= 0) return got;
  began_a_record_ = wire.front() == SSL3_RT_HANDSHAKE || wire.front() == SSL3_RT_ALERT;
  BIO_write(SSL_get_rbio(tls_.get()), wire.data(), static_cast<int>(wire.size()));
  return got;
}

bool Channel::flush() {
  BIO* const out = SSL_get_wbio(tls_.get());
  std::string wire(BIO_ctrl_pending(out), '\0');
  if (!wire.empty()) BIO_read(out, wire.data(), static_cast<int>(wire.size()));
  return socket_.send(wire);
}

std::string Channel::failure() const {
  const long verdict = SSL_get_verify_result(tls_.get());
  if (verdict == X509_V_OK) return std::string("the TLS handshake failed: ") + net::openssl_reason();
  return std::string("its certificate is not trusted: ") + X509_verify_cert_error_string(verdict) +
         (has_unknown_issuer(verdict) ? " (--ca FILE or LIMPET_CA says whom to trust)" : "");
}

}  // namespace limpet::status
