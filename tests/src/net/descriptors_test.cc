#include "src/net/descriptors.h"

#include <doctest/doctest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <thread>
#include <vector>

namespace limpet::net::descriptors_test {

using Shortage = Descriptors::Shortage;

// What is logged while this lives.
class Logged {
 public:
  Logged() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_, true)));
  }
  ~Logged() { spdlog::set_default_logger(before_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

TEST_CASE("clients leave descriptors to backends, and both leave some to operators, whatever the limit") {
  for (uint64_t limit = 64; limit <= 1'048'576; limit += limit / 16) {
    const Descriptors here(limit);
    const int most = static_cast<int>(limit);
    CHECK(here.for_clients() <= here.for_backends() - 8);
    CHECK(here.for_backends() <= most - 16);
    CHECK(here.for_clients() >= most / 2);
    CHECK(here.for_status() >= 8);
    CHECK(here.for_status() <= static_cast<size_t>(most - here.for_backends()) / 2);
  }
}

TEST_CASE("a large limit is not kept for operators, who have enough") {
  const Descriptors here(1'000'000);
  CHECK(1'000'000 - here.for_backends() == 256);
  CHECK(here.for_status() == Descriptors::kMostForStatus);
  CHECK(Descriptors(UINT64_MAX).for_clients() > 1'000'000'000);
}

TEST_CASE("a limit that is too low for anything refuses everybody") {
  for (uint64_t limit = 0; limit < 24; ++limit) CHECK(Descriptors(limit).for_clients() == 0);
}

TEST_CASE("only what this machine or process lacks is a shortage") {
  for (const int lack : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) CHECK(is_shortage(-lack));
  for (const int other : {0, -ECONNREFUSED, -ETIMEDOUT, -ECONNRESET, -EAGAIN})
    CHECK_FALSE(is_shortage(other));
}

TEST_CASE(
    "refused clients are counted, by all threads together, and a flood of them is one line of the log") {
  Logged logged;
  Descriptors here(1024);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5000; ++k) here.met(Shortage::refused, -EMFILE);
    });
  }
  for (std::thread& thread : threads) thread.join();
  here.met(Shortage::deferred, -EMFILE);
  here.met(Shortage::undialed, -EMFILE);
  CHECK(here.refused() == 20'000);
  const std::string text = logged.text();
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("the line says what happened, and what to do") {
  {
    Logged logged;
    Descriptors(1024).met(Shortage::refused, -EMFILE);
    CHECK(logged.text().find("Too many open files: 1 connection of clients refused") != std::string::npos);
    CHECK(logged.text().find("raise the limit of open files, which is 1024 (") != std::string::npos);
  }
  Logged logged;
  Descriptors(1024).met(Shortage::deferred, -ENFILE);
  CHECK(logged.text().find("accepting put off once") != std::string::npos);
  CHECK(logged.text().find("fs.file-max") != std::string::npos);
  CHECK(logged.text().find("1024") == std::string::npos);
}

}  // namespace limpet::net::descriptors_test
