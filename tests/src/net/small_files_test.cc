#include "src/net/small_files.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "src/net/loop.h"
#include "tests/support/folder.h"

namespace limpet::net::small_files_test {

struct Reader final : FileReader {
  int told = 0;
  std::optional<std::string> content;
  void on_file(std::optional<std::string> read) override {
    ++told;
    content = std::move(read);
  }
};

TEST_CASE("a small file is read, and whatever is none is not") {
  const test::Folder folder;
  const std::string small = folder.file("small"), large = folder.file("large"), pipe = folder.file("pipe");
  std::ofstream(small) << "content";
  std::ofstream(large) << std::string(SmallFiles::kMost + 1, 'x');
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  Loop loop;
  {
    UvSmallFiles files(loop.uv());
    const auto read = [&](const std::string& path) {
      Reader reader;
      files.read(path, reader);
      CHECK(reader.told == 0);
      while (reader.told == 0) uv_run(loop.uv(), UV_RUN_ONCE);
      return reader.content;
    };
    CHECK(read(small) == "content");
    CHECK(read(large) == std::nullopt);
    CHECK(read(pipe) == std::nullopt);
    CHECK(read(folder.file("none")) == std::nullopt);
    CHECK(read(folder.file("")) == std::nullopt);
  }
}

TEST_CASE("whoever is forgotten is not told, nor whoever's files are gone") {
  Loop loop;
  Reader reader;
  {
    UvSmallFiles files(loop.uv());
    files.read("/proc/self/status", reader);
    files.forget(reader);
    files.read("/proc/self/status", reader);
  }
  for (int turn = 0; turn < 100; ++turn) uv_run(loop.uv(), UV_RUN_NOWAIT);
  CHECK(reader.told == 0);
}

}  // namespace limpet::net::small_files_test
