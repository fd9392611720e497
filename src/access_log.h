// The access log off the request path: workers format lines into buffers of their own and hand whole blocks
// to a LineWriter, which takes them to standard output or a file. What it drops the operational log says, at
// most once in kReportEvery.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "conf/settings.h"
#include "src/access_format.h"
#include "src/line_writer.h"

namespace limpet {

// One for the process. Thread-safe, but for what the main thread alone calls.
class AccessLog {
 public:
  static constexpr size_t kMostPending = 4 * conf::MiB;
  static constexpr std::chrono::seconds kReportEvery{10};

  using Opened = std::variant<std::unique_ptr<AccessLog>, std::string>;

  // Opens what `settings.access` names (a file is made with mode 0640 and appended to), or says what is
  // wrong. Null when it is "off".
  static Opened open(const conf::Log& settings);
  ~AccessLog() { finish(LineWriter::kAtEnd); }  // every AccessLogBuffer is gone by now
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Closes and opens the file again, soon, so that whoever rotates logs may take the old one. Standard output
  // stays.
  void reopen() { writer_.reopen(); }

  void submit(LineBlock& block) { writer_.submit(block); }

  conf::AccessFormat format() const { return format_; }
  uint64_t dropped_lines() const { return writer_.dropped(); }

  // Of the main thread. To be called now and then: says what was dropped since, and what could not be
  // reopened.
  void report();
  // Writes what is pending, if its reader takes it in that time.
  void finish(std::chrono::milliseconds most);

 private:
  using Clock = std::chrono::steady_clock;

  AccessLog(LineTarget target, conf::AccessFormat format);
  void report_drops();

  const std::string path_;
  const conf::AccessFormat format_;
  uint64_t reported_ = 0;  // of what was dropped
  Clock::time_point report_at_{};
  LineWriter writer_;
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
  LineBlock block_;
};

}  // namespace limpet
