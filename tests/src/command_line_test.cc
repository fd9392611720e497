#include "src/command_line.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace limpet::command_line_test {

struct Said : CommandLine {
  std::string out, err;
};

Said say(std::vector<const char*> words) {
  words.insert(words.begin(), "limpet");
  std::ostringstream out, err;
  Said said;
  static_cast<CommandLine&>(said) =
      limpet::parse_command_line(static_cast<int>(words.size()), words.data(), "1.2.3", out, err);
  said.out = out.str();
  said.err = err.str();
  return said;
}

struct CheckedFile {
  explicit CheckedFile(const std::string& text) {
    char name[] = "/tmp/limpet-check-XXXXXX";
    folder = mkdtemp(name);
    path = folder + "/limpet.toml";
    std::ofstream(path) << text;
    check();
  }
  void check() {
    std::ostringstream to_out, to_err;
    exit_code = limpet::check_file(path, to_out, to_err);
    out = to_out.str();
    err = to_err.str();
  }
  ~CheckedFile() { std::filesystem::remove_all(folder); }
  std::string folder, path, out, err;
  int exit_code;
};

constexpr char kSound[] = R"(
[[listener]]
address = "127.0.0.1:8080"
[[pool]]
name = "shop"
[[pool.backend]]
name = "a"
address = "127.0.0.1:9001"
[[pool.backend]]
name = "b"
address = "127.0.0.1:9002"
)";

TEST_CASE("run and check take one file") {
  CHECK(say({"run", "a.toml"}).command == CommandLine::Command::run);
  CHECK(say({"run", "a.toml"}).file == "a.toml");
  CHECK(say({"check", "b.toml"}).command == CommandLine::Command::check);
  CHECK(say({"check", "b.toml"}).file == "b.toml");
}

TEST_CASE("commands for a running Limpet take a pool and a backend, a session, and where it is") {
  const Said drain =
      say({"drain", "shop/app-2", "--wait", "--json", "--at", "lb1:9180", "--token-file", "t"});
  CHECK(drain.command == CommandLine::Command::drain);
  CHECK(drain.name == "drain");
  CHECK(drain.pool == "shop");
  CHECK(drain.backend == "app-2");
  CHECK(drain.wait);
  CHECK_FALSE(drain.known_only);
  CHECK(say({"drain", "shop/app-2", "--known-only"}).known_only);
  CHECK(drain.json);
  CHECK(drain.at == "lb1:9180");
  CHECK(drain.token_file == "t");
  CHECK(say({"undrain", "a/b/c"}).backend == "b/c");
  CHECK(say({"maintenance", "a/b"}).command == CommandLine::Command::maintenance);
  CHECK(say({"up", "a/b"}).command == CommandLine::Command::up);
  CHECK(say({"incidents"}).command == CommandLine::Command::incidents);
  CHECK(say({"reload"}).command == CommandLine::Command::reload);
  CHECK(say({"session", "--", "-key"}).session == "-key");
  const Said pin = say({"pin", "shop", "key", "app-1"});
  CHECK(pin.command == CommandLine::Command::pin);
  CHECK(pin.pool + "|" + pin.session + "|" + pin.backend == "shop|key|app-1");
  const Said unbind = say({"unbind", "shop", "key"});
  CHECK(unbind.pool + "|" + unbind.session == "shop|key");
  CHECK(say({"status", "--watch"}).watch);
}

TEST_CASE("where it is and the token come from the environment unless they are said") {
  unsetenv("LIMPET_STATUS");
  CHECK(say({"status"}).at == "127.0.0.1:9180");
  setenv("LIMPET_STATUS", "10.0.0.1:80", 1);
  setenv("LIMPET_TOKEN", "secret", 1);
  CHECK(say({"status"}).at == "10.0.0.1:80");
  CHECK(say({"status", "--at", "b:1"}).at == "b:1");
  CHECK(say({"status"}).token == "secret");
  setenv("LIMPET_CA", "ca.pem", 1);
  CHECK(say({"status"}).ca == "ca.pem");
  CHECK(say({"status", "--ca", "other.pem"}).ca == "other.pem");
  unsetenv("LIMPET_CA");
  CHECK(say({"status"}).ca == "");
  unsetenv("LIMPET_STATUS");
  unsetenv("LIMPET_TOKEN");
}

TEST_CASE("help tells commands, signals, exit codes and examples") {
  for (const char* flag : {"--help", "-h"}) {
    const Said said = say({flag});
    CHECK(said.command == CommandLine::Command::none);
    CHECK(said.exit_code == limpet::kExitOk);
    for (const char* word :
         {"limpet run", "limpet check", "--version", "SIGTERM", "SIGHUP", "SIGUSR1", "Exit codes", "Examples",
          "limpet status", "limpet drain", "LIMPET_STATUS", "LIMPET_TOKEN", "LIMPET_CA"}) {
      CHECK_MESSAGE(said.out.find(word) != std::string::npos, word);
    }
    CHECK(said.err.empty());
  }
}

TEST_CASE("the version is one line") {
  const Said said = say({"--version"});
  CHECK(said.out == "limpet 1.2.3\n");
  CHECK(said.exit_code == limpet::kExitOk);
}

TEST_CASE("no command at all is answered by the help, as a mistake") {
  const Said said = say({});
  CHECK(said.command == CommandLine::Command::none);
  CHECK(said.exit_code == limpet::kExitMisused);
  CHECK(said.err.find("Examples") != std::string::npos);
  CHECK(said.out.empty());
}

TEST_CASE("a command line that makes no sense is a mistake and runs nothing") {
  const std::vector<std::vector<const char*>> mistakes = {{"run"},
                                                          {"check"},
                                                          {"walk", "a.toml"},
                                                          {"run", "a.toml", "b.toml"},
                                                          {"run", "a.toml", "check", "b.toml"},
                                                          {"run", "--fast", "a.toml"},
                                                          {"drain"},
                                                          {"drain", "shop"},
                                                          {"drain", "/app-1"},
                                                          {"drain", "shop/"},
                                                          {"up", "shop/app-1", "shop/app-2"},
                                                          {"session"},
                                                          {"pin", "shop", "key"},
                                                          {"incidents", "--watch"},
                                                          {"status", "--wait"}};
  for (const auto& words : mistakes) {
    const Said said = say(words);
    CHECK(said.command == CommandLine::Command::none);
    CHECK(said.exit_code == limpet::kExitMisused);
    CHECK_FALSE(said.err.empty());
  }
}

TEST_CASE("a sound file is said to be ok, with what it holds") {
  const CheckedFile file(kSound);
  CHECK(file.err == "");
  CHECK(file.out == file.path + ": ok, 1 listener, 1 pool, 2 backends\n");
  CHECK(file.exit_code == limpet::kExitOk);
}

TEST_CASE("every fault of a file is one line on standard error") {
  const CheckedFile file("workers = \"many\"\nno_such_key = 1\n");
  CHECK(file.exit_code == limpet::kExitFault);
  CHECK(file.out.empty());
  CHECK(file.err.find(file.path + ":1:") != std::string::npos);
  CHECK(file.err.find(file.path + ":2:") != std::string::npos);
}

TEST_CASE("a token file that a start would refuse is a fault, and one that others may read is warned of") {
  CheckedFile file(std::string("[status]\ntoken_file = \"t\"\n") + kSound);
  const std::string token = file.folder + "/t", key = file.path + ": status.token_file: ";
  CHECK(file.exit_code == limpet::kExitFault);
  CHECK(file.err == key + token + " cannot be opened: No such file or directory\n");
  std::ofstream(token) << "short\n";
  file.check();
  CHECK(file.exit_code == limpet::kExitFault);
  CHECK(file.err.starts_with(key + "the first line of " + token + " is too short to be safe"));
  std::ofstream(token) << "0123456789abcdef\n";
  chmod(token.c_str(), 0644);
  file.check();
  CHECK(file.exit_code == limpet::kExitOk);
  CHECK(file.err.starts_with(file.path + ": warning: the token file " + token + " is open to every user"));
  chmod(token.c_str(), 0640);
  file.check();
  CHECK(file.exit_code == limpet::kExitOk);
  CHECK(file.err == "");
}

TEST_CASE("a key file is checked as a start would, and none is made") {
  CheckedFile file(kSound);
  const std::string keys = file.folder + "/limpet.keys";
  CHECK_FALSE(std::filesystem::exists(keys));
  std::ofstream(keys) << "key = 12\n";
  file.check();
  CHECK(file.exit_code == limpet::kExitFault);
  CHECK(file.err.starts_with(keys + ":1:1: key: "));
  std::ofstream(keys) << "key = " << std::string(64, '1') << "\nhash_secret = " << std::string(64, '2')
                      << "\n";
  chmod(keys.c_str(), 0644);
  file.check();
  CHECK(file.exit_code == limpet::kExitOk);
  CHECK(file.err.starts_with(file.path + ": warning: the key file " + keys));
}

TEST_CASE("a key file that a start could not make is warned of, with the key that names another") {
  CheckedFile file("[secrets]\nkey_file = \"nowhere/limpet.keys\"\n" + std::string(kSound));
  CHECK(file.exit_code == limpet::kExitOk);
  CHECK(file.err.starts_with(file.path +
                             ": warning: a start by who checks here could not make the key file " +
                             file.folder + "/nowhere/limpet.keys: No such file or directory; "));
  CHECK(file.err.find("`secrets.key_file`") < file.err.find("`secrets.keys`"));
}

TEST_CASE("more clients than there are descriptors for are warned of") {
  std::string text(kSound);
  text.insert(text.find("[[pool]]"), "[listener.limits]\nconnections = 4000000000\n");
  const CheckedFile file(text);
  CHECK(file.exit_code == limpet::kExitOk);
  CHECK(file.err.starts_with(file.path + ": warning: listeners may have 4000000000 connections ("));
}

TEST_CASE("a file that is not there is a fault") {
  std::ostringstream out, err;
  CHECK(limpet::check_file("/nowhere/limpet.toml", out, err) == limpet::kExitFault);
  CHECK(err.str().find("/nowhere/limpet.toml") != std::string::npos);
}

}  // namespace limpet::command_line_test
