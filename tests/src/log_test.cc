#include "src/log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace limpet::log_test {

using conf::LogLevel;

// The default logger of the tests themselves comes back.
struct Logged {
  Logged() { REQUIRE(pipe2(ends, O_CLOEXEC) == 0); }
  ~Logged() {
    spdlog::set_default_logger(before);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  int fd() const { return ends[1]; }
  std::string text() {
    char bytes[4096];
    const ssize_t got = ::read(ends[0], bytes, sizeof bytes);
    return {bytes, got > 0 ? static_cast<size_t>(got) : 0};
  }
  const std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
  int ends[2];
};

TEST_CASE("the operational log lets through what is at least of its level") {
  Logged logged;
  Log log(logged.fd());
  log.set_level(LogLevel::warning);
  CHECK(spdlog::should_log(spdlog::level::err));
  CHECK(spdlog::should_log(spdlog::level::warn));
  CHECK_FALSE(spdlog::should_log(spdlog::level::info));
  log.set_level(LogLevel::debug);
  CHECK(spdlog::should_log(spdlog::level::debug));
  log.set_level(LogLevel::error);
  CHECK(spdlog::should_log(spdlog::level::err));
  CHECK_FALSE(spdlog::should_log(spdlog::level::warn));
}

TEST_CASE("an event is a line with its time and its level, and other lines are written as they are") {
  Logged logged;
  {
    Log log(logged.fd());
    spdlog::warn("it rains");
    log.write("as it is\n");
  }
  const std::string text = logged.text();
  CHECK(text.substr(4, 1) == "-");
  CHECK(text.substr(23) == "Z warning it rains\nas it is\n");
}

TEST_CASE("a log whose lines nobody reads holds up nobody who logs, and counts what it dropped") {
  Logged logged;
  const std::string text(1000, 'x');
  Log log(logged.fd());
  for (uint64_t i = 0; log.dropped_lines() == 0 && i < 1'000'000; ++i) spdlog::info("{}", text);
  CHECK(log.dropped_lines() > 0);
  log.finish(std::chrono::milliseconds(1));
}

TEST_CASE("levels change while other threads log") {
  Logged logged;
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  {
    Log log(null);
    std::atomic<bool> over{false};
    std::atomic<int> logging{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        ++logging;
        while (!over) spdlog::info("again");
      });
    }
    while (logging < 2) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) log.set_level(i % 2 == 0 ? LogLevel::info : LogLevel::debug);
    over = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(spdlog::should_log(spdlog::level::debug));
  }
  ::close(null);
}

}  // namespace limpet::log_test
