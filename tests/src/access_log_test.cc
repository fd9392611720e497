#include "src/access_log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "tests/support/folder.h"

namespace limpet::access_log_test {

using test::content;
using test::Folder;

std::unique_ptr<AccessLog> open_log(const std::string& access) {
  AccessLog::Opened opened =
      AccessLog::open({.level = {}, .access = access, .access_format = conf::AccessFormat::json});
  REQUIRE(std::holds_alternative<std::unique_ptr<AccessLog>>(opened));
  return std::move(std::get<std::unique_ptr<AccessLog>>(opened));
}

AccessRecord numbered(std::string_view number) {
  AccessRecord record;
  record.time_us = 1'738'368'000'000'000;
  record.method = "GET";
  record.target = "/a/path/of/a/usual/length?with=a&query=too";
  record.status = 200;
  record.request_id = number;
  return record;
}

template <typename Fact>
bool comes_true(Fact fact) {
  for (int i = 0; i < 1000; i++) {
    if (fact()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// A named pipe with this process at its other end; open(2) of either end alone would wait for the other.
struct Pipe {
  explicit Pipe(const std::string& path) {
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    REQUIRE(reader >= 0);
  }
  ~Pipe() { close(); }
  void close() {
    if (reader >= 0) ::close(std::exchange(reader, -1));
  }
  int reader;
};

TEST_CASE("every line of every worker arrives, whole and in the worker's order") {
  const Folder folder;
  constexpr int kWorkers = 4, kLines = 2000;
  {
    const auto log = open_log(folder.file("log"));
    std::vector<std::thread> workers;
    for (int worker = 0; worker < kWorkers; worker++) {
      workers.emplace_back([&, worker] {
        AccessLogBuffer buffer(*log);
        for (int line = 0; line < kLines; line++) {
          buffer.write(numbered(std::to_string(worker) + "-" + std::to_string(line)));
          if (line % 7 == 0 || buffer.full()) buffer.flush();
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    CHECK(log->dropped_lines() == 0);
  }
  std::istringstream lines(content(folder.file("log")));
  int next[kWorkers] = {};
  for (std::string line; std::getline(lines, line);) {
    const std::string id = nlohmann::json::parse(line)["request_id"];
    const int worker = id[0] - '0';
    REQUIRE(std::stoi(id.substr(2)) == next[worker]++);
  }
  for (const int count : next) CHECK(count == kLines);
}

TEST_CASE("a line longer than a block is written whole") {
  const Folder folder;
  const std::string target(3 * LineBlock::kBytes, '\x01');
  {
    const auto log = open_log(folder.file("log"));
    AccessLogBuffer buffer(*log);
    AccessRecord record = numbered("1");
    record.target = target;
    buffer.write(record);
    buffer.write(numbered("2"));
  }
  std::istringstream lines(content(folder.file("log")));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  CHECK(nlohmann::json::parse(first)["target"] == target);
  CHECK(nlohmann::json::parse(second)["request_id"] == "2");
}

TEST_CASE("a buffer is full at half a block") {
  const Folder folder;
  const auto log = open_log(folder.file("log"));
  AccessLogBuffer buffer(*log);
  CHECK_FALSE(buffer.full());
  AccessRecord record = numbered("1");
  const std::string target(AccessLogBuffer::kFull, 'a');
  record.target = target;
  buffer.write(record);
  CHECK(buffer.full());
  buffer.flush();
  CHECK_FALSE(buffer.full());
}

TEST_CASE("after a rotation lines go to the new file and none is lost") {
  const Folder folder;
  const std::string path = folder.file("log"), rotated = folder.file("log.1");
  {
    const auto log = open_log(path);
    AccessLogBuffer buffer(*log);
    buffer.write(numbered("before"));
    buffer.flush();
    CHECK(comes_true([&] { return !content(path).empty(); }));
    std::filesystem::rename(path, rotated);
    log->reopen();
    CHECK(comes_true([&] { return std::filesystem::exists(path); }));
    buffer.write(numbered("after"));
  }
  CHECK(content(rotated).find("\"before\"") != std::string::npos);
  CHECK(content(rotated).find("\"after\"") == std::string::npos);
  CHECK(content(path).find("\"after\"") != std::string::npos);
}

TEST_CASE("a file is made for its owner and group only") {
  const Folder folder;
  const auto log = open_log(folder.file("log"));
  struct stat status{};
  REQUIRE(stat(folder.file("log").c_str(), &status) == 0);
  CHECK((status.st_mode & 0007) == 0);
}

TEST_CASE("a file that cannot be opened is said with its name") {
  const AccessLog::Opened opened =
      AccessLog::open({.level = {}, .access = "/nowhere/at/all", .access_format = {}});
  REQUIRE(std::holds_alternative<std::string>(opened));
  CHECK(std::get<std::string>(opened).find("/nowhere/at/all") != std::string::npos);
}

TEST_CASE("\"off\" opens nothing") {
  const AccessLog::Opened opened = AccessLog::open({.level = {}, .access = "off", .access_format = {}});
  CHECK(std::get<std::unique_ptr<AccessLog>>(opened) == nullptr);
}

TEST_CASE(
    "lines for a reader that does not read are dropped, counted and told, and the end does not wait for it") {
  const Folder folder;
  std::ostringstream told;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(told)));
  const Pipe pipe(folder.file("pipe"));
  uint64_t written = 0, dropped = 0;
  std::string arrived;
  {
    const auto log = open_log(folder.file("pipe"));
    AccessLogBuffer buffer(*log);
    while (log->dropped_lines() == 0 && written < 1'000'000) {
      buffer.write(numbered(std::to_string(written++)));
      if (buffer.full()) buffer.flush();
    }
    dropped = log->dropped_lines();
  }
  spdlog::set_default_logger(before);
  CHECK(dropped > 0);
  CHECK(written > AccessLog::kMostPending / 1024);  // what is allowed to wait did wait
  CHECK(told.str().find("lines dropped") != std::string::npos);
}

TEST_CASE("when the reader of a pipe is gone, lines are dropped, and written again to the next reader") {
  const Folder folder;
  Pipe pipe(folder.file("pipe"));
  const auto log = open_log(folder.file("pipe"));
  AccessLogBuffer buffer(*log);
  pipe.close();
  buffer.write(numbered("1"));
  buffer.flush();
  CHECK(comes_true([&] { return log->dropped_lines() == 1; }));

  pipe.reader = ::open(folder.file("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  buffer.write(numbered("2"));
  buffer.flush();
  char bytes[4096];
  ssize_t got = 0;
  CHECK(comes_true([&] { return (got = ::read(pipe.reader, bytes, sizeof bytes)) > 0; }));
  CHECK(nlohmann::json::parse(std::string(bytes, static_cast<size_t>(got)))["request_id"] == "2");
}

TEST_CASE("a slow reader of a pipe gets every line") {
  const Folder folder;
  const Pipe pipe(folder.file("pipe"));
  const auto log = open_log(folder.file("pipe"));
  constexpr int kLines = 5000;
  std::string arrived;
  {
    AccessLogBuffer buffer(*log);
    for (int line = 0; line < kLines; line++) {
      buffer.write(numbered(std::to_string(line)));
      if (buffer.full()) buffer.flush();
    }
  }
  char bytes[5000];
  std::ptrdiff_t whole = 0;
  CHECK(comes_true([&] {
    for (ssize_t got; (got = ::read(pipe.reader, bytes, sizeof bytes)) > 0;) {
      arrived.append(bytes, static_cast<size_t>(got));
      whole += std::count(bytes, bytes + got, '\n');
    }
    return whole == kLines;
  }));
  std::istringstream lines(arrived);
  int next = 0;
  for (std::string line; std::getline(lines, line);) {
    REQUIRE(nlohmann::json::parse(line)["request_id"] == std::to_string(next++));
  }
  CHECK(log->dropped_lines() == 0);
}

}  // namespace limpet::access_log_test
