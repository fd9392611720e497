// The access log off the request path: workers format lines into buffers of their own, a writer thread takes
// whole blocks to standard output or a file.
//
// A worker never waits for the log's reader. Blocks of at most kMostPending bytes wait for the writer; when
// the disk or the pipe is slower than that, whole blocks are dropped, their lines counted, and the
// operational log says so, at most once in kReportEvery.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "conf/settings.h"
#include "src/access_format.h"

namespace limpet {

// Whole lines on their way to the writer.
struct AccessBlock {
  // A block is made with room for this; a longer line makes it grow.
  static constexpr size_t kBytes = 64 * conf::KiB;

  std::unique_ptr<char[]> bytes;
  size_t size = 0, capacity = 0;
  uint64_t lines = 0;

  void make_room(size_t more);
  bool append(AccessBlock& other);  // takes what `other` holds, if there is room
  void clear() { size = 0, lines = 0; }
};

// One for the process. Thread-safe.
class AccessLog {
 public:
  static constexpr size_t kMostPending = 4 * conf::MiB;
  static constexpr std::chrono::seconds kReportEvery{10};
  static constexpr std::chrono::seconds kFlushAtEnd{2};  // the destructor waits no longer for a pipe's reader

  using Opened = std::variant<std::unique_ptr<AccessLog>, std::string>;

  // Opens what `settings.access` names (a file is made with mode 0640 and appended to) and starts the writer,
  // or says what is wrong. Null when it is "off".
  static Opened open(const conf::Log& settings);
  ~AccessLog();  // writes what is pending; every AccessLogBuffer is gone by now
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Closes and opens the file again, soon, so that whoever rotates logs may take the old one. Standard output
  // stays.
  void reopen();

  // Takes the block's lines, or drops them; either way `block` comes back empty and ready for lines.
  void submit(AccessBlock& block);

  conf::AccessFormat format() const { return format_; }
  uint64_t dropped_lines() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  AccessLog(int fd, std::string path, conf::AccessFormat format);
  void run();
  void write_block(const AccessBlock& block);
  size_t write_piece(const char* from, size_t size);
  bool wait_until_writable();
  void drop(uint64_t lines, int error);
  void open_again();
  void report_drops();

  const std::string path_;  // empty: standard output
  const conf::AccessFormat format_;
  std::atomic<uint64_t> dropped_{0};
  std::atomic<Clock::rep> give_up_at_{Clock::time_point::max().time_since_epoch().count()};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<AccessBlock> pending_;  // guarded by mutex_, as are the next four
  std::vector<AccessBlock> spare_;    // empty blocks to be used again
  size_t pending_bytes_ = 0;
  bool reopen_asked_ = false;
  bool stopping_ = false;

  // The writer's own.
  int fd_;
  bool may_block_ = false;  // a pipe, a terminal or a socket: its reader decides when a write ends
  uint64_t reported_ = 0;   // of dropped_
  int last_error_ = 0;
  Clock::time_point report_at_{};

  std::thread writer_;  // last: it uses all of the above
};

// One for each worker; not thread-safe. The log outlives it.
class AccessLogBuffer {
 public:
  static constexpr size_t kFull = 32 * conf::KiB;

  explicit AccessLogBuffer(AccessLog& log);
  ~AccessLogBuffer() { flush(); }
  AccessLogBuffer(const AccessLogBuffer&) = delete;
  AccessLogBuffer& operator=(const AccessLogBuffer&) = delete;

  void write(const AccessRecord& record);
  bool full() const { return block_.size >= kFull; }  // then flush() before long
  void flush();  // to be called now and then even if not full, so that a quiet log is not a late one

 private:
  AccessLog& log_;
  AccessFormatter formatter_;
  AccessBlock block_;
};

}  // namespace limpet
