// Where lines go: a file on a disk that may be full, a pipe, a FIFO, a terminal. What is written begins on a
// line of its own, also after a write that ended within one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>

namespace limpet {

struct LineTarget {
  int fd = -1;
  std::string path{};  // of what was opened, and is closed again; empty: the descriptor is not the output's
  int error = 0;       // why it could not be opened; 0 without an `fd`: a FIFO that has no reader yet

  // Opens a file to append to, or makes it, with mode 0640. Never waits for a FIFO's reader: the output opens
  // it once there is one.
  static LineTarget open(const std::string& path);
};

// Of one thread, but for give_up_at().
class LineOutput {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LineOutput(LineTarget target);
  ~LineOutput();
  LineOutput(const LineOutput&) = delete;
  LineOutput& operator=(const LineOutput&) = delete;

  // Writes whole lines, and waits for their reader. How many bytes it wrote; if not all, the reason is in
  // errno.
  size_t write(const char* from, size_t size);
  // Opens the path again; returns an errno, and then the old file is written on.
  int reopen();
  // From any thread: no reader is waited for any longer than until then.
  void give_up_at(Clock::time_point when) { give_up_at_ = when.time_since_epoch().count(); }

 private:
  void take_descriptor(int fd);
  size_t write_piece(const char* from, size_t size);
  bool wait_until_writable();

  const std::string path_;
  std::atomic<Clock::rep> give_up_at_{Clock::time_point::max().time_since_epoch().count()};
  int fd_ = -1;
  bool may_block_ = false;   // a pipe, a terminal or a socket: its reader decides when a write ends
  bool is_in_line_ = false;  // what was written last ended within a line
};

}  // namespace limpet
