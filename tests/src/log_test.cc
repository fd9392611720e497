#include "src/log.h"

#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

namespace limpet::log_test {

TEST_CASE("the operational log lets through what is at least of its level") {
  const auto before = spdlog::default_logger();
  using limpet::conf::LogLevel;
  limpet::set_up_log(LogLevel::warning);
  CHECK(spdlog::should_log(spdlog::level::err));
  CHECK(spdlog::should_log(spdlog::level::warn));
  CHECK_FALSE(spdlog::should_log(spdlog::level::info));
  limpet::set_up_log(LogLevel::debug);
  CHECK(spdlog::should_log(spdlog::level::debug));
  limpet::set_up_log(LogLevel::error);
  CHECK(spdlog::should_log(spdlog::level::err));
  CHECK_FALSE(spdlog::should_log(spdlog::level::warn));
  spdlog::set_default_logger(before);
}

}  // namespace limpet::log_test
