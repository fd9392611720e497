#include "src/log.h"

#include <spdlog/details/os.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <mutex>
#include <string>
#include <utility>

#include "conf/spelling.h"

namespace limpet {
namespace {

constexpr char kName[] = "limpet";

spdlog::level::level_enum spdlog_level(conf::LogLevel level) {
  switch (level) {
    case conf::LogLevel::debug:
      return spdlog::level::debug;
    case conf::LogLevel::info:
      return spdlog::level::info;
    case conf::LogLevel::warning:
      return spdlog::level::warn;
    case conf::LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

std::unique_ptr<spdlog::formatter> line_format() {
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v",
                                                     spdlog::pattern_time_type::utc);
}

// The level's colour, as terminals take it (ECMA-48, SGR).
const char* colour(spdlog::level::level_enum level) {
  if (level >= spdlog::level::err) return "\033[31m\033[1m";
  if (level == spdlog::level::warn) return "\033[33m\033[1m";
  return level == spdlog::level::info ? "\033[32m" : "\033[36m";
}

class Sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  Sink(std::shared_ptr<LineWriter> writer, bool in_colour)
      : base_sink(line_format()), writer_(std::move(writer)), in_colour_(in_colour) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (!in_colour_) return writer_->submit({line.data(), line.size()});
    std::string text(line.data(), line.size());
    text.insert(message.color_range_end, "\033[m");
    text.insert(message.color_range_start, colour(message.level));
    writer_->submit(text);
  }
  void flush_() override {}

  const std::shared_ptr<LineWriter> writer_;
  const bool in_colour_;
};

std::string missing_lines(uint64_t lines, const char* why) {
  const std::string text = conf::counted(lines, "line") + " of this log missing here: " + why;
  spdlog::memory_buf_t line;
  line_format()->format(spdlog::details::log_msg(kName, spdlog::level::warn, text), line);
  return {line.data(), line.size()};
}

bool takes_colour(int fd) { return isatty(fd) != 0 && spdlog::details::os::is_color_terminal(); }

}  // namespace

Log::Log(int fd)
    : writer_(std::make_shared<LineWriter>(LineTarget{fd}, kMostPending, missing_lines)),
      logger_(std::make_shared<spdlog::logger>(kName, std::make_shared<Sink>(writer_, takes_colour(fd)))) {
  spdlog::set_default_logger(logger_);
}

Log::~Log() { finish(LineWriter::kAtEnd); }

void Log::set_level(conf::LogLevel level) { logger_->set_level(spdlog_level(level)); }

void Log::write(std::string_view lines) { writer_->submit(lines); }

}  // namespace limpet
