#include "src/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

namespace limpet {
namespace {

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

}  // namespace

void set_up_log(conf::LogLevel level) {
  auto logger =
      std::make_shared<spdlog::logger>("limpet", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog_level(level));
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace limpet
