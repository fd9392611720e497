// Files that are not TOML, or not files.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/conf/loading.h"

namespace limpet::conf::syntax_test {

TEST_CASE("what is not TOML is told with its position, and nothing else is") {
  CHECK(faults("workers = 2\n[log\n") ==
        "f:2:5: is not TOML: Error while parsing table header: expected ']', saw '\\n'");
  CHECK(faults("nonsense = 1\nworkers = \"2") ==
        "f:2:13: is not TOML: Error while parsing string: encountered end-of-file");
  CHECK(faults("[log]\nlevel = \"info\"\nlevel = \"info\"\n") ==
        "f:3:9: is not TOML: Error while parsing key-value pair: cannot redefine existing string 'level'");
  CHECK(faults("[log]\n[log]\n") ==
        "f:2:1: is not TOML: Error while parsing table header: cannot redefine existing table 'log'; what "
        "there may "
        "be several of has two brackets: [[listener]], [[pool]], [[pool.backend]], [[route]]");
}

TEST_CASE("a text without quotes is told that it needs them") {
  const std::string advice = "; a text value, such as \"30s\", stands in double quotes";
  CHECK(faults("shutdown_timeout = 30s") ==
        "f:1:22: is not TOML: Error while parsing decimal integer: expected digit, saw 's'" + advice);
  CHECK(faults("via = limpet") ==
        "f:1:7: is not TOML: Error while parsing value: could not determine value type" + advice);
}

TEST_CASE("columns count characters, not bytes") {
  CHECK(faults("\"ü\" = 1\n" + kBase).starts_with("f:1:1: ü: unknown key, accepted: `workers`"));
  CHECK(faults("log = { access = \"zürich\", level = 3 }\n" + kBase) ==
        "f:1:36: log.level: is an integer, accepted: \"debug\", \"info\", \"warning\", \"error\"");
}

TEST_CASE("bytes that are not UTF-8 are a fault") {
  CHECK(faults("via = \"\xff\xfe\"").starts_with("f:1:7: is not TOML: "));
}

TEST_CASE("a number that fits nowhere is not repeated, for it may be a secret") {
  const std::string text = faults("[secrets]\nhash_secret = 12345678901234567890123456789012");
  CHECK(text.starts_with("f:2:"));
  CHECK(text.find("12345678") == std::string::npos);
}

TEST_CASE("a character outside of ASCII and of quotes is a fault") {
  CHECK(faults("ü = 1") ==
        "f:1:1: is not TOML: Error while parsing root table: expected keys, tables, whitespace or comments, "
        "saw 'ü'");
  for (const char* character : {"\u00a1", "é", "\u0499", "\u049a", "\u2028", "€", "\ufefe", "\ufeff", "😀"}) {
    CAPTURE(character);
    CHECK(faults("via" + std::string(character) + " = \"x\"").starts_with("f:1:"));
    CHECK(faults("workers = 2" + std::string(character)).starts_with("f:1:1"));
  }
}

TEST_CASE("a header without a name is a fault") {
  CHECK(faults("[=]").starts_with("f:1:2: is not TOML: "));
  CHECK(faults("[]").starts_with("f:1:2: is not TOML: "));
  CHECK(faults("[[#]]").starts_with("f:1:3: is not TOML: "));
}

TEST_CASE("deep nesting is a fault") {
  CHECK(faults("a = " + std::string(10'000, '[')).starts_with("f:1:261: is not TOML: "));
}

TEST_CASE("a line that would nest too deep for the parser is a fault") {
  std::string dotted = "a";
  while (dotted.size() < 16 * 1024 - 4) dotted += ".a";
  const std::string refused = "f:2:1: is a line longer than 16KiB, accepted: the same in several lines";
  for (const std::string& line : {"[" + dotted + ".a]", dotted + ".a.a = 1", "[[" + dotted + "]]"}) {
    CHECK(faults("\n" + line) == refused);
  }
  CHECK(faults("[" + dotted + "]").find("is missing") != std::string::npos);
}

TEST_CASE("an empty file lacks what every file needs") {
  CHECK(faults("") ==
        "f: listener: is missing, accepted: at least one [[listener]]\n"
        "f: pool: is missing, accepted: at least one [[pool]]");
}

TEST_CASE("a text larger than a configuration is refused as a whole") {
  CHECK(faults(std::string((1 << 20) + 1, '\n')) == "f: is larger than 1MiB, accepted: a TOML file");
  CHECK(faults(kBase + std::string((1 << 20) - kBase.size(), '\n')) == "");
}

TEST_CASE("a file that cannot be read is a fault of the file") {
  const auto fault = [](const std::string& path) {
    return std::get<Faults>(load_file(path, nullptr)).at(0).text();
  };
  CHECK(fault("/nonexistent/limpet.toml") ==
        "/nonexistent/limpet.toml: cannot be opened: No such file or directory");
  CHECK(fault("/") == "/: is a folder, accepted: a TOML file");
  CHECK(fault("/dev/zero") == "/dev/zero: is no regular file, accepted: a TOML file");
  const std::string pipe =
      std::filesystem::temp_directory_path() / ("limpet-pipe-" + std::to_string(::getpid()));
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(fault(pipe) ==
        pipe + ": is no regular file, accepted: a TOML file");  // and nobody waits for a writer
  ::unlink(pipe.c_str());
}

TEST_CASE("a file's faults carry the path that was asked for") {
  const auto path =
      std::filesystem::temp_directory_path() / ("limpet_syntax_test_" + std::to_string(getpid()) + ".toml");
  std::ofstream(path) << "worker = 1" << kBase;
  const Faults found = std::get<Faults>(load_file(path, nullptr));
  std::filesystem::remove(path);
  REQUIRE(found.size() == 1);
  CHECK(found[0].text() == path.string() + ":1:1: worker: unknown key, did you mean `workers`?");
}

}  // namespace limpet::conf::syntax_test
