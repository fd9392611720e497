// Lines that are handed over arrive whole, and nobody waits for a reader that does not read.
#include "src/line_writer.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/folder.h"

namespace limpet::line_writer_test {

using test::content;
using test::Folder;

constexpr size_t kMost = 1 * conf::MiB;

std::string missing(uint64_t lines, const char* why) {
  return std::to_string(lines) + " missing: " + why + "\n";
}

template <typename Fact>
bool comes_true(Fact fact) {
  for (int i = 0; i < 1000; i++) {
    if (fact()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// A file can grow to so many bytes and no further, as on a full disk.
struct FullAt {
  explicit FullAt(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullAt() { setrlimit(RLIMIT_FSIZE, &before); }
  rlimit before{};
};

struct Pipe {
  Pipe() {
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    REQUIRE(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  }
  ~Pipe() {
    for (const int fd : ends) ::close(fd);
  }
  void read_on() {
    char bytes[4096];
    for (ssize_t got; (got = ::read(ends[0], bytes, sizeof bytes)) > 0;)
      text.append(bytes, static_cast<size_t>(got));
  }
  int ends[2];
  std::string text;
};

TEST_CASE(
    "where a disk was full in the middle of a line, the next line begins on its own, and the lost are "
    "counted") {
  const Folder folder;
  const std::string path = folder.file("log");
  LineWriter writer(LineTarget::open(path), kMost, nullptr);
  {
    const FullAt limit(25);
    writer.submit("0123456789\n0123456789\n0123456789\n0123456789\n");
    CHECK(comes_true([&] { return writer.dropped() == 2; }));
    CHECK(std::string(writer.why_dropped()) == "File too large");
  }
  writer.submit("next\n");
  CHECK(comes_true([&] { return content(path) == "0123456789\n0123456789\n012\nnext\n"; }));
  CHECK(writer.dropped() == 2);
}

TEST_CASE("a log that tells of missing lines does so where they are missing, once it can") {
  const Folder folder;
  const std::string path = folder.file("log");
  LineWriter writer(LineTarget::open(path), kMost, missing);
  {
    const FullAt limit(4);
    writer.submit("one\ntwo\n");
    CHECK(comes_true([&] { return writer.dropped() == 1; }));
    writer.submit("three\n");
    CHECK(comes_true([&] { return writer.dropped() == 2; }));
  }
  writer.submit("four\n");
  CHECK(comes_true([&] { return content(path) == "one\n2 missing: File too large\nfour\n"; }));
}

TEST_CASE("a file whose last line has no end is written on in a new line") {
  const Folder folder;
  std::ofstream(folder.file("log")) << "half a li";
  std::ofstream(folder.file("rotated")) << "a whole line\n";
  LineWriter writer(LineTarget::open(folder.file("log")), kMost, nullptr);
  writer.submit("one\n");
  CHECK(comes_true([&] { return content(folder.file("log")) == "half a li\none\n"; }));
  std::filesystem::rename(folder.file("rotated"), folder.file("log"));
  writer.reopen();
  CHECK(comes_true([&] {
    writer.submit("two\n");
    return content(folder.file("log")).starts_with("a whole line\ntwo\n");
  }));
}

TEST_CASE("a FIFO without a reader holds up nothing, and its next reader gets the next lines") {
  const Folder folder;
  const std::string path = folder.file("fifo");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  LineTarget target = LineTarget::open(path);
  CHECK(target.fd == -1);
  CHECK(target.error == 0);
  LineWriter writer(std::move(target), kMost, nullptr);
  writer.submit("one\n");
  CHECK(comes_true([&] { return writer.dropped() == 1; }));
  CHECK(std::string(writer.why_dropped()) == "it has no reader");

  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  writer.submit("two\n");
  char bytes[100];
  ssize_t got = 0;
  CHECK(comes_true([&] { return (got = ::read(reader, bytes, sizeof bytes)) > 0; }));
  CHECK(std::string(bytes, static_cast<size_t>(got)) == "two\n");
  ::close(reader);
}

TEST_CASE("reopening a FIFO that has no reader any more holds up nothing") {
  const Folder folder;
  const std::string path = folder.file("fifo");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  LineWriter writer(LineTarget::open(path), kMost, nullptr);
  ::close(reader);
  writer.reopen();
  writer.submit("one\n");
  CHECK(comes_true([&] { return writer.dropped() == 1; }));
  CHECK(writer.take_reopen_error() == 0);
}

TEST_CASE("a path that cannot be opened again is written on where it was, and its error is told once") {
  const Folder folder;
  LineWriter writer(LineTarget::open(folder.file("log")), kMost, nullptr);
  std::filesystem::rename(folder.file("log"), folder.file("moved"));
  std::filesystem::create_directory(folder.file("log"));
  writer.reopen();
  int error = 0;
  CHECK(comes_true([&] { return (error = writer.take_reopen_error()) != 0; }));
  CHECK(error == EISDIR);
  CHECK(writer.take_reopen_error() == 0);
  writer.submit("one\n");
  CHECK(comes_true([&] { return content(folder.file("moved")) == "one\n"; }));
}

TEST_CASE("for a reader that was too slow the notice stands exactly where the missing lines would") {
  Pipe pipe;
  LineWriter writer({pipe.ends[1]}, kMost, missing);
  uint64_t handed = 0;
  const std::string filling(990, 'x');
  const auto hand_over = [&] { writer.submit(std::to_string(handed++) + " " + filling + "\n"); };
  while (writer.dropped() == 0 && handed < 1'000'000) hand_over();
  for (int i = 0; i < 100; ++i) hand_over();
  const uint64_t dropped = writer.dropped();
  CHECK(dropped >= 100);
  CHECK(comes_true([&] {
    pipe.read_on();
    return pipe.text.ends_with(missing(dropped, "its reader is too slow"));
  }));
  writer.submit("last\n");
  writer.finish(LineWriter::kAtEnd);
  pipe.read_on();

  std::istringstream lines(pipe.text);
  uint64_t next = 0;
  for (std::string line; std::getline(lines, line) && line != "last";) {
    if (line.find("missing") != std::string::npos) {
      next += std::stoull(line);
    } else {
      REQUIRE(std::stoull(line) == next++);
    }
  }
  CHECK(next == handed);
  CHECK(pipe.text.ends_with("last\n"));
}

TEST_CASE("any number of lines is taken where nothing else waits") {
  Pipe pipe;
  LineWriter writer({pipe.ends[1]}, kMost, missing);
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += std::to_string(i) + "\n";
  REQUIRE(text.size() > kMost);
  writer.submit(text);
  CHECK(comes_true([&] {
    pipe.read_on();
    return pipe.text.size() >= text.size();
  }));
  CHECK(pipe.text == text);
  CHECK(writer.dropped() == 0);
}

// A terminal says that it takes something, and then holds whoever writes more than that.
TEST_CASE("the end does not wait for a thread that the kernel holds in a write, and what waited is counted") {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(terminal >= 0);
  REQUIRE(grantpt(terminal) == 0);
  REQUIRE(unlockpt(terminal) == 0);
  const int fd = ::open(ptsname(terminal), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  {
    LineWriter writer({fd}, kMost, missing);
    const std::string line = std::string(3000, 'x') + "\n";
    for (int i = 0; i < 100; ++i) writer.submit(line);
    writer.finish(std::chrono::milliseconds(100));
    CHECK(writer.dropped() > 50);
    CHECK(writer.dropped() <= 100);
  }
  ::close(terminal);  // ends the write, and with it the thread, which still has `fd`
}

}  // namespace limpet::line_writer_test
