#include "src/access_log.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "conf/spelling.h"

namespace limpet {

AccessLog::Opened AccessLog::open(const conf::Log& settings) {
  if (settings.access == "off") return std::unique_ptr<AccessLog>();
  LineTarget target{STDOUT_FILENO};
  if (settings.access != "stdout") target = LineTarget::open(settings.access);
  if (target.error != 0)
    return "cannot open the access log " + settings.access + ": " + std::strerror(target.error);
  if (target.fd < 0) spdlog::warn("access log: nobody reads {} yet, so its lines are dropped", target.path);
  return std::unique_ptr<AccessLog>(new AccessLog(std::move(target), settings.access_format));
}

AccessLog::AccessLog(LineTarget target, conf::AccessFormat format)
    : path_(target.path), format_(format), writer_(std::move(target), kMostPending, nullptr) {}

void AccessLog::report() {
  if (Clock::now() >= report_at_) report_drops();
}

void AccessLog::report_drops() {
  const uint64_t dropped = dropped_lines();
  const int error = writer_.take_reopen_error();
  if (error != 0)
    spdlog::error("cannot reopen the access log {}: {}; the old file is written on", path_,
                  std::strerror(error));
  if (dropped != reported_)
    spdlog::warn("access log: {} dropped: {}", conf::counted(dropped - reported_, "line"),
                 writer_.why_dropped());
  if (error == 0 && dropped == reported_) return;
  reported_ = dropped;
  report_at_ = Clock::now() + kReportEvery;
}

void AccessLog::finish(std::chrono::milliseconds most) {
  writer_.finish(most);
  report_drops();
}

AccessLogBuffer::AccessLogBuffer(AccessLog& log) : log_(log), formatter_(log.format()) {
  block_.make_room(LineBlock::kBytes);
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
}

}  // namespace limpet
