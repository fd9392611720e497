#include "src/line_output.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace limpet {
namespace {

constexpr mode_t kFileMode = 0640;                 // targets may carry session ids
constexpr std::chrono::milliseconds kLookUp{100};  // who waits for a reader looks up this often

struct stat status_of(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0) status.st_mode = 0;
  return status;
}

bool is_fifo(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

// Whether a file's last line has no end: a process was killed, or the disk full, in the middle of it. Where
// that cannot be read it is taken to be whole.
bool ends_within_line(int fd) {
  const struct stat status = status_of(fd);
  if (!S_ISREG(status.st_mode) || status.st_size == 0) return false;
  const std::string again = "/proc/self/fd/" + std::to_string(fd);  // `fd` is for writing only
  const int reader = ::open(again.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (reader < 0) return false;
  char last = '\n';
  const bool known = ::pread(reader, &last, 1, status.st_size - 1) == 1;
  ::close(reader);
  return known && last != '\n';
}

// The most of `size` bytes, in whole lines, that a pipe takes at once or not at all: lines then do not mix
// with what others write to the same pipe, and a write after POLLOUT does not block (pipe(7)).
size_t atomic_piece(const char* from, size_t size) {
  if (size <= PIPE_BUF) return size;
  const void* newline = memrchr(from, '\n', PIPE_BUF);
  return newline == nullptr ? PIPE_BUF : static_cast<size_t>(static_cast<const char*>(newline) - from) + 1;
}

}  // namespace

LineTarget LineTarget::open(const std::string& path) {
  // Without waiting; a file does not know the difference.
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, kFileMode);
  if (fd >= 0) return {fd, path};
  const int error = errno;
  return {-1, path, error == ENXIO && is_fifo(path) ? 0 : error};
}

LineOutput::LineOutput(LineTarget target) : path_(std::move(target.path)) { take_descriptor(target.fd); }

LineOutput::~LineOutput() {
  if (!path_.empty() && fd_ >= 0) ::close(fd_);
}

size_t LineOutput::write(const char* from, size_t size) {
  if (is_in_line_ && write_piece("\n", 1) == 0) return 0;
  size_t done = 0, written = 1;
  while (done < size && written > 0) {
    written = write_piece(from + done, size - done);
    done += written;
  }
  is_in_line_ = done > 0 && from[done - 1] != '\n';
  return done;
}

// 0: none, for the reason in errno.
size_t LineOutput::write_piece(const char* from, size_t size) {
  if (fd_ < 0) reopen();
  if (fd_ < 0) {
    errno = ENXIO;
    return 0;
  }
  for (;;) {
    if (may_block_ && !wait_until_writable()) return 0;
    const ssize_t written = ::write(fd_, from, may_block_ ? atomic_piece(from, size) : size);
    if (written > 0) return static_cast<size_t>(written);
    if (written == 0) {
      errno = EIO;
      return 0;
    }
    if (errno != EINTR && errno != EAGAIN) return 0;
  }
}

// False when the writer ends and the reader did not move for long enough.
bool LineOutput::wait_until_writable() {
  for (;;) {
    const bool is_late = Clock::now().time_since_epoch().count() >= give_up_at_;
    pollfd watched{fd_, POLLOUT, 0};
    if (::poll(&watched, 1, is_late ? 0 : static_cast<int>(kLookUp.count())) > 0) return true;
    if (is_late) {
      errno = ETIMEDOUT;
      return false;
    }
  }
}

int LineOutput::reopen() {
  const LineTarget opened = LineTarget::open(path_);
  if (opened.error != 0) return opened.error;
  if (fd_ >= 0) ::close(fd_);
  take_descriptor(opened.fd);
  return 0;
}

void LineOutput::take_descriptor(int fd) {
  fd_ = fd;
  may_block_ = !S_ISREG(status_of(fd).st_mode);
  is_in_line_ = ends_within_line(fd);
}

}  // namespace limpet
