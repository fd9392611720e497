// Lines on their way to somebody who may not take them: a file on a disk that is full or dead, a pipe, a
// terminal. Whoever has lines hands them over and goes on; a thread of the writer's own takes them there.
//
// Nobody who hands lines over waits for their reader. At most `most_pending` bytes wait for the thread; lines
// beyond that are dropped and counted, as are those that cannot be written. At the end a reader that does not
// read is waited for for a bounded time, and a thread that the kernel holds is left behind.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "conf/settings.h"
#include "src/line_output.h"

namespace limpet {

// Whole lines, as they are handed over.
struct LineBlock {
  // A block is made with room for this; a longer line makes it grow.
  static constexpr size_t kBytes = 64 * conf::KiB;

  std::unique_ptr<char[]> bytes;
  size_t size = 0, capacity = 0;
  uint64_t lines = 0;
  uint64_t missing = 0;  // lines dropped between the block before it and this one

  void make_room(size_t more);
  bool append(const char* from, size_t count, uint64_t of_lines);  // if there is room
  void clear() { size = 0, lines = 0, missing = 0; }
};

// Thread-safe.
class LineWriter {
 public:
  static constexpr std::chrono::milliseconds kAtEnd{2000};   // the destructor waits no longer for a reader
  static constexpr std::chrono::milliseconds kInHurry{200};  // for who has been told twice to end

  // The line that stands where lines are missing.
  using Notice = std::string (*)(uint64_t lines, const char* why);

  // `notice`: nullptr where nothing is to be written but what was handed over.
  LineWriter(LineTarget target, size_t most_pending, Notice notice);
  ~LineWriter() { finish(kAtEnd); }
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Takes the block's lines, or drops them; either way `block` comes back empty and ready for lines.
  void submit(LineBlock& block);
  void submit(std::string_view lines);  // takes any number where nothing else waits

  // Closes and opens the path again, soon.
  void reopen();

  // Takes no more, and waits for what is pending, but no longer than that. To be called by one thread.
  void finish(std::chrono::milliseconds most);

  uint64_t dropped() const;
  const char* why_dropped() const;  // the last ones
  int take_reopen_error();          // why the last reopen() failed, told once; 0: it did not

 private:
  class Work;
  const std::shared_ptr<Work> work_;  // its thread has it too
  std::thread thread_;
};

}  // namespace limpet
