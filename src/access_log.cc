#include "src/access_log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace limpet {
namespace {

constexpr mode_t kFileMode = 0640;                 // targets may carry session ids
constexpr std::chrono::milliseconds kLookUp{100};  // a writer that waits for a reader looks up this often
constexpr size_t kMostSpare = 64;                  // blocks kept for use again

int open_file(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kFileMode);
}

bool is_regular_file(int fd) {
  struct stat status{};
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

// The most of `size` bytes, in whole lines, that a pipe takes at once or not at all: lines then do not mix
// with what others write to the same pipe, and a write after POLLOUT does not block (pipe(7)).
size_t atomic_piece(const char* from, size_t size) {
  if (size <= PIPE_BUF) return size;
  const void* newline = memrchr(from, '\n', PIPE_BUF);
  return newline == nullptr ? PIPE_BUF : static_cast<size_t>(static_cast<const char*>(newline) - from) + 1;
}

uint64_t count_lines(const char* from, size_t size) {
  return static_cast<uint64_t>(std::count(from, from + size, '\n'));
}

}  // namespace

void AccessBlock::make_room(size_t more) {
  if (capacity - size >= more) return;
  const size_t grown = std::max(kBytes, size + more);
  std::unique_ptr<char[]> larger(new char[grown]);
  if (size > 0) std::memcpy(larger.get(), bytes.get(), size);
  bytes = std::move(larger);
  capacity = grown;
}

bool AccessBlock::append(AccessBlock& other) {
  if (capacity - size < other.size) return false;
  std::memcpy(bytes.get() + size, other.bytes.get(), other.size);
  size += other.size;
  lines += other.lines;
  other.clear();
  return true;
}

AccessLog::Opened AccessLog::open(const conf::Log& settings) {
  if (settings.access == "off") return std::unique_ptr<AccessLog>();
  if (settings.access == "stdout") {
    return std::unique_ptr<AccessLog>(new AccessLog(STDOUT_FILENO, "", settings.access_format));
  }
  const int fd = open_file(settings.access);
  if (fd < 0) return "cannot open the access log " + settings.access + ": " + std::strerror(errno);
  return std::unique_ptr<AccessLog>(new AccessLog(fd, settings.access, settings.access_format));
}

AccessLog::AccessLog(int fd, std::string path, conf::AccessFormat format)
    : path_(std::move(path)), format_(format), fd_(fd), may_block_(!is_regular_file(fd)) {
  // The writer takes no signals: the loops own them, and a reader that went away is EPIPE to it, not SIGPIPE.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  writer_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AccessLog::~AccessLog() {
  give_up_at_ = (Clock::now() + kFlushAtEnd).time_since_epoch().count();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
  if (!path_.empty()) ::close(fd_);
}

void AccessLog::reopen() {
  if (path_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    reopen_asked_ = true;
  }
  wake_.notify_one();
}

void AccessLog::submit(AccessBlock& block) {
  AccessBlock next;
  {
    const std::lock_guard lock(mutex_);
    if (!pending_.empty() && pending_.back().append(block)) return;  // the writer is awake already
    if (pending_bytes_ + block.capacity > kMostPending) {
      dropped_ += block.lines;
      block.clear();
      return;
    }
    if (!spare_.empty()) {
      next = std::move(spare_.back());
      spare_.pop_back();
    }
    pending_bytes_ += block.capacity;
    pending_.push_back(std::move(block));
  }
  wake_.notify_one();
  block = std::move(next);
}

// Until it is told to stop and nothing is pending.
void AccessLog::run() {
  std::vector<AccessBlock> taken;
  for (;;) {
    bool open_now = false, stop = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kReportEvery, [this] { return !pending_.empty() || reopen_asked_ || stopping_; });
      taken.swap(pending_);
      open_now = std::exchange(reopen_asked_, false);
      stop = stopping_;
    }
    for (AccessBlock& block : taken) {
      write_block(block);
      const std::lock_guard lock(mutex_);
      pending_bytes_ -= block.capacity;
      block.clear();
      if (block.capacity == AccessBlock::kBytes && spare_.size() < kMostSpare)
        spare_.push_back(std::move(block));
    }
    if (open_now) open_again();
    report_drops();
    if (stop && taken.empty()) break;
    taken.clear();
  }
}

void AccessLog::write_block(const AccessBlock& block) {
  size_t done = 0;
  while (done < block.size) {
    const char* from = block.bytes.get() + done;
    const size_t left = block.size - done;
    const size_t written = write_piece(from, left);
    if (written == 0) {
      drop(count_lines(from, left), errno);
      return;
    }
    done += written;
  }
}

// How many bytes it wrote; 0: none, for the reason in errno.
size_t AccessLog::write_piece(const char* from, size_t size) {
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

// False when this process ends and the reader did not move for long enough.
bool AccessLog::wait_until_writable() {
  for (;;) {
    const bool is_late = Clock::now().time_since_epoch().count() >= give_up_at_;
    pollfd watched{fd_, POLLOUT, 0};
    if (::poll(&watched, 1, is_late ? 0 : static_cast<int>(kLookUp.count())) > 0) return true;
    report_drops();
    if (is_late) {
      errno = ETIMEDOUT;
      return false;
    }
  }
}

void AccessLog::drop(uint64_t lines, int error) {
  dropped_ += lines;
  last_error_ = error;
}

void AccessLog::open_again() {
  const int fd = open_file(path_);
  if (fd < 0) {
    spdlog::error("cannot reopen the access log {}: {}; the old file is written on", path_,
                  std::strerror(errno));
    return;
  }
  ::close(fd_);
  fd_ = fd;
  may_block_ = !is_regular_file(fd);
}

void AccessLog::report_drops() {
  const uint64_t dropped = dropped_lines();
  if (dropped == reported_ || Clock::now() < report_at_) return;
  spdlog::warn("access log: {} lines dropped: {}", dropped - reported_,
               last_error_ == 0 ? "its reader is too slow" : std::strerror(last_error_));
  reported_ = dropped;
  last_error_ = 0;
  report_at_ = Clock::now() + kReportEvery;
}

AccessLogBuffer::AccessLogBuffer(AccessLog& log) : log_(log), formatter_(log.format()) {
  block_.make_room(AccessBlock::kBytes);
}

void AccessLogBuffer::write(const AccessRecord& record) {
  block_.make_room(AccessFormatter::most_bytes(record));
  char* from = block_.bytes.get() + block_.size;
  const char* end = formatter_.write(record, from);
  block_.size += static_cast<size_t>(end - from);
  block_.lines++;
}

void AccessLogBuffer::flush() {
  if (block_.lines == 0) return;
  log_.submit(block_);
  block_.make_room(AccessBlock::kBytes);
}

}  // namespace limpet
