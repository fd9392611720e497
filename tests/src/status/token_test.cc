#include "src/status/token.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace limpet::status::token_test {

struct File {
  File() {
    char name[] = "/tmp/limpet-token-XXXXXX";
    folder = mkdtemp(name);
    path = folder + "/token";
  }
  ~File() { std::filesystem::remove_all(folder); }
  status::LoadedToken with(std::string_view content) const {
    std::ofstream(path, std::ios::binary) << content;
    return status::read_token_file(path);
  }
  std::string folder, path;
};

constexpr char kAccepted[] = ", accepted: at least 16 characters of printable ASCII without spaces";

TEST_CASE("a token is the first line of its file, without the blanks at its end") {
  const File file;
  for (const char* content : {"0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef \t\r\nmore\n"}) {
    const status::LoadedToken loaded = file.with(content);
    CHECK(loaded.text == "0123456789abcdef");
    CHECK(loaded.wrong == "");
  }
}

TEST_CASE("a file that holds no token says why, and never what it holds") {
  const File file;
  const std::string first = "the first line of " + file.path;
  for (const char* content : {"", "\n0123456789abcdef", "0123456789abcde \n"}) {
    const status::LoadedToken loaded = file.with(content);
    CHECK(loaded.text == "");
    CHECK(loaded.wrong == first + " is too short to be safe" + kAccepted);
  }
  for (const char* content : {"01234567 89abcdef", "01234567\t89abcdef", "0123456789abcd\xc3\xa9"})
    CHECK(file.with(content).wrong == first + " holds a space or what is not printable ASCII" + kAccepted);
}

TEST_CASE("a file that cannot be read says why") {
  const File file;
  CHECK(status::read_token_file(file.path).wrong == file.path + " cannot be read: No such file or directory");
  CHECK(status::read_token_file(file.folder).wrong == file.folder + " cannot be read: Is a directory");
}

TEST_CASE("the settings' token is taken as it is, and their file is named where it is at fault") {
  const File file;
  conf::Status settings;
  CHECK(status::load_token(settings).text == "");
  settings.token = "0123456789abcdef";
  CHECK(status::load_token(settings).text == settings.token);
  settings.token = "";
  settings.token_file = file.path;
  CHECK(status::load_token(settings).wrong ==
        "status.token_file: " + file.path + " cannot be opened: No such file or directory");
  file.with("fedcba9876543210\n");
  chmod(file.path.c_str(), 0644);
  CHECK(status::load_token(settings).text == "fedcba9876543210");
  CHECK(
      status::load_token(settings).warning.starts_with("the token file " + file.path + " is open to every"));
  chmod(file.path.c_str(), 0600);
  CHECK(status::load_token(settings).warning == "");
}

TEST_CASE("a token file that is a pipe is a fault for who serves, and nobody waits for its writer") {
  const File file;
  REQUIRE(mkfifo(file.path.c_str(), 0600) == 0);
  conf::Status settings;
  settings.token_file = file.path;
  CHECK(status::load_token(settings).wrong == "status.token_file: " + file.path + " is no regular file");
}

}  // namespace limpet::status::token_test
