// The operational log: what happened to Limpet itself, on standard error. Callers use spdlog's own functions,
// and never wait for whoever reads it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "conf/settings.h"
#include "src/line_writer.h"

namespace spdlog {
class logger;
}

namespace limpet {

// One for the process, and spdlog's default logger while it lives; lines of later are lost. One line for each
// event: UTC time, level, text. Thread-safe.
class Log {
 public:
  static constexpr size_t kMostPending = 1 * conf::MiB;

  explicit Log(int fd = 2);  // standard error; it stays open
  ~Log();                    // as finish(LineWriter::kAtEnd)
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void set_level(conf::LogLevel level);
  void write(std::string_view lines);  // as they are, whatever the level
  uint64_t dropped_lines() const { return writer_->dropped(); }
  // Writes what is pending, if its reader takes it in that time, and takes no more. By the main thread alone.
  void finish(std::chrono::milliseconds most) { writer_->finish(most); }

 private:
  const std::shared_ptr<LineWriter> writer_;  // the logger's sink has it too
  const std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace limpet
