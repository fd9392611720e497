#include "src/net/uv_stream.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "src/net/loop.h"

namespace limpet::net {

static_assert(sizeof(uv_buf_t) == sizeof(iovec));  // libuv lays uv_buf_t out as iovec on Unix

namespace {
constexpr unsigned kMostParts = 1024;  // IOV_MAX on Linux

// EADDRNOTAVAIL says that no port is left, or that this machine has no address to reach that one from, as
// where IPv6 is off. A datagram socket, whose ports are others, tells which.
bool can_reach(const sockaddr* address) {
  const int fd = ::socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const socklen_t size = address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  const bool can = fd < 0 || ::connect(fd, address, size) == 0 || errno != EADDRNOTAVAIL;
  if (fd >= 0) ::close(fd);
  return can;
}
}  // namespace

struct UvStream::Requests {
  uv_connect_t connect;
  uv_write_t write;
};

UvStream::UvStream(Loop& loop) : loop_(loop) {}

UvStream* UvStream::adopt(Loop& loop, int fd) {
  auto* made = new UvStream(loop);
  uv_tcp_init(loop.uv(), &made->handle_.tcp);
  made->stream()->data = made;
  if (uv_tcp_open(&made->handle_.tcp, fd) == 0) return made;
  ::close(fd);
  made->close();
  return nullptr;
}

void UvStream::start(StreamOwner* owner) {
  owner_ = owner;
  resume();
}

// The socket is made first, so that one that may not be had is never connected.
UvStream* UvStream::connect(Loop& loop, const sockaddr* address, int below, StreamOwner* owner, int& error) {
  auto* made = new UvStream(loop);
  error = uv_tcp_init_ex(loop.uv(), &made->handle_.tcp, address->sa_family);
  if (error != 0) {  // and libuv has forgotten it
    delete made;
    return nullptr;
  }
  made->stream()->data = made;
  made->owner_ = owner;
  made->begin_connect();
  error = made->descriptor() < below
              ? uv_tcp_connect(&made->requests_->connect, &made->handle_.tcp, address, on_connect)
              : UV_EMFILE;
  if (error != 0) {
    if (error == UV_EADDRNOTAVAIL && !can_reach(address)) error = UV_ENETUNREACH;
    made->close();
    return nullptr;
  }
  uv_tcp_nodelay(&made->handle_.tcp, 1);
  return made;
}

// libuv makes the socket and connects it in one call, which tells its errors later, and has no descriptor
// then.
UvStream* UvStream::connect_unix(Loop& loop, const std::string& path, int below, StreamOwner* owner,
                                 int& error) {
  auto* made = new UvStream(loop);
  uv_pipe_init(loop.uv(), &made->handle_.pipe, 0);
  made->stream()->data = made;
  made->owner_ = owner;
  made->begin_connect();
  uv_pipe_connect(&made->requests_->connect, &made->handle_.pipe, path.c_str(), on_connect);
  error = made->descriptor() < below ? 0 : UV_EMFILE;
  if (error == 0) return made;
  made->close();
  return nullptr;
}

int UvStream::descriptor() const {
  uv_os_fd_t fd;
  return uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle_), &fd) == 0 ? fd : -1;
}

void UvStream::begin_connect() {
  requests_ = std::make_unique<Requests>();
  requests_->connect.data = this;
}

void UvStream::on_connect(uv_connect_t* request, int status) {
  UvStream& self = *static_cast<UvStream*>(request->data);
  if (self.owner_ == nullptr) return;
  if (status != 0) return self.owner_->on_broken(status);
  self.resume();
  self.owner_->on_connected();
}

void UvStream::on_allocate(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(of(handle).loop_.scratch(), Loop::kReadSize);
}

void UvStream::on_read(uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer) {
  UvStream& self = of(handle);
  if (self.owner_ == nullptr || size == 0) return;
  if (size > 0) {
    self.owner_->on_bytes({buffer->base, static_cast<size_t>(size)});
  } else if (const int error = size == UV_EOF ? self.hidden_error() : static_cast<int>(size); error != 0) {
    self.owner_->on_broken(error);
  } else {
    self.read_ended_ = true;
    self.owner_->on_end();
  }
}

// libuv takes a hang-up after a short read for an orderly end, and a write that fails takes the socket's
// error along.
int UvStream::hidden_error() {
  if (write_broken_) return UV_ECONNRESET;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return 0;
  return -error;
}

bool UvStream::write(std::span<const iovec> parts) {
  if (write_broken_ || owner_ == nullptr) return false;
  size_t size = outbox_ == Outbox::kNowhere ? 0 : loop_.outbox().waiting(outbox_).size();
  for (const iovec& part : parts) size += part.iov_len;
  if (size <= Outbox::kMostBytes && queued() == 0) {
    loop_.outbox().add(*this, outbox_, parts);
    return true;
  }
  post();
  return !write_broken_ && send(parts);
}

void UvStream::post() {
  if (outbox_ == Outbox::kNowhere) return;
  const std::string_view waiting = loop_.outbox().waiting(outbox_);
  const iovec part{const_cast<char*>(waiting.data()), waiting.size()};
  send({&part, 1});
  loop_.outbox().give_up(outbox_);
}

bool UvStream::send(std::span<const iovec> parts) {
  size_t sent = 0;
  if (queued() == 0) {
    const auto count = static_cast<unsigned>(std::min<size_t>(parts.size(), kMostParts));
    const int result = uv_try_write(stream(), reinterpret_cast<const uv_buf_t*>(parts.data()), count);
    if (result < 0 && result != UV_EAGAIN) {
      write_broken_ = true;
      return false;
    }
    if (result > 0) sent = static_cast<size_t>(result);
  }
  sent_since_mark_ = true;
  for (const iovec& part : parts) {
    if (sent >= part.iov_len) {
      sent -= part.iov_len;
      continue;
    }
    waiting_.append(static_cast<const char*>(part.iov_base) + sent, part.iov_len - sent);
    sent = 0;
  }
  if (!waiting_.empty() && writing_.empty()) write_waiting();
  return true;
}

void UvStream::write_waiting() {
  if (!requests_) requests_ = std::make_unique<Requests>();
  writing_.swap(waiting_);
  requests_->write.data = this;
  const uv_buf_t buffer = uv_buf_init(writing_.data(), static_cast<unsigned>(writing_.size()));
  // libuv tries at once and reports a failure by the callback; an immediate error means that the handle is
  // closing.
  uv_write(&requests_->write, stream(), &buffer, 1, on_written);
}

void UvStream::on_written(uv_write_t* request, int status) {
  UvStream& self = *static_cast<UvStream*>(request->data);
  self.writing_ = {};
  if (self.owner_ == nullptr) return;
  if (status != 0) {
    self.write_broken_ = true;
    self.waiting_ = {};
  }
  if (!self.waiting_.empty()) return self.write_waiting();
  self.waiting_ = {};
  if (self.finish_ == Finish::asked) self.finish();
  self.owner_->on_drained();
}

void UvStream::pause() {
  if (!reading_ || owner_ == nullptr) return;
  reading_ = false;
  uv_read_stop(stream());
}

void UvStream::resume() {
  if (reading_ || read_ended_ || owner_ == nullptr) return;
  reading_ = uv_read_start(stream(), on_allocate, on_read) == 0;
}

void UvStream::finish() {
  if (finish_ == Finish::done) return;
  post();
  finish_ = Finish::asked;
  if (queued() != 0 || write_broken_ || owner_ == nullptr) return;
  finish_ = Finish::done;
  ::shutdown(descriptor(), SHUT_WR);
}

void UvStream::abandon() {
  if (outbox_ != Outbox::kNowhere) loop_.outbox().give_up(outbox_);
  owner_ = nullptr;
}

void UvStream::close() {
  if (uv_is_closing(reinterpret_cast<uv_handle_t*>(stream()))) return;
  abandon();
  uv_close(reinterpret_cast<uv_handle_t*>(stream()), on_closed);
}

void UvStream::reset() {
  if (uv_is_closing(reinterpret_cast<uv_handle_t*>(stream()))) return;
  abandon();
  if (handle_.tcp.type != UV_TCP || uv_tcp_close_reset(&handle_.tcp, on_closed) != 0) {
    uv_close(reinterpret_cast<uv_handle_t*>(stream()), on_closed);
  }
}

void UvStream::on_closed(uv_handle_t* handle) { delete &of(handle); }

}  // namespace limpet::net
