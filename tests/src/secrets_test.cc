#include "src/secrets.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "tests/support/folder.h"

namespace limpet::secrets_test {

using test::Folder;

const std::string kOnes(64, '1'), kTwos(64, '2'), kThrees(64, '3');

struct Given : Folder {
  conf::Settings settings;
  Given() { settings.secrets.key_file = path + "/limpet.keys"; }
  explicit Given(const std::string& text) : Given() {
    std::ofstream(settings.secrets.key_file) << text;
    chmod(settings.secrets.key_file.c_str(), 0600);
  }
  Secrets load() const {
    auto loaded = load_secrets(settings);
    REQUIRE(std::holds_alternative<Secrets>(loaded));
    return std::get<Secrets>(loaded);
  }
  conf::Faults faults() const {
    const auto loaded = load_secrets(settings);
    REQUIRE(std::holds_alternative<conf::Faults>(loaded));
    return std::get<conf::Faults>(loaded);
  }
};

std::string bytes(char digits) { return std::string(Secrets::kBytes, digits); }

TEST_CASE("secrets in the settings are taken as they are and no file is made") {
  Given given;
  given.settings.secrets.keys = {bytes('a'), bytes('b')};
  given.settings.secrets.hash_secret = bytes('c');
  const Secrets secrets = given.load();
  CHECK(secrets.keys == std::vector{bytes('a'), bytes('b')});
  CHECK(secrets.hash_secret == bytes('c'));
  CHECK(secrets.warnings.empty());
  CHECK_FALSE(std::filesystem::exists(given.settings.secrets.key_file));
}

TEST_CASE("the first start makes a key file for its owner only, and the next start reads the same secrets") {
  const Given given;
  const Secrets first = given.load(), second = given.load();
  CHECK(first.keys.size() == 1);
  CHECK(first.keys[0].size() == Secrets::kBytes);
  CHECK(first.hash_secret.size() == Secrets::kBytes);
  CHECK(first.keys[0] != first.hash_secret);
  CHECK(second.keys == first.keys);
  CHECK(second.hash_secret == first.hash_secret);
  CHECK(first.warnings.empty());
  CHECK(second.warnings.empty());
  struct stat status{};
  REQUIRE(stat(given.settings.secrets.key_file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("two key files are never alike") {
  const Given one, other;
  CHECK(one.load().keys != other.load().keys);
}

TEST_CASE("of many starts at once all have the same secrets and no draft is left") {
  const Given given;
  std::vector<std::string> keys(8);
  std::vector<std::thread> starts;
  for (std::string& key : keys) {
    starts.emplace_back([&] { key = std::get<Secrets>(load_secrets(given.settings)).keys.at(0); });
  }
  for (std::thread& start : starts) start.join();
  CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == 1);
  const std::filesystem::directory_iterator files(given.path);
  CHECK(std::distance(begin(files), end(files)) == 1);
}

size_t files_in(const std::string& path) {
  const std::filesystem::directory_iterator files(path);
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

// A process that is killed while it writes the key file's draft.
void start_and_be_killed(const conf::Settings& settings) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &none);  // the first byte is one too many, and SIGXFSZ kills
    load_secrets(settings);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

TEST_CASE("drafts that killed processes leave behind do not pile up, and hinder no start") {
  const Given given;
  for (int i = 0; i < 3; ++i) start_and_be_killed(given.settings);
  CHECK(files_in(given.path) <= 1);
  CHECK(given.load().warnings.empty());
  CHECK(files_in(given.path) == 1);
  CHECK(std::filesystem::exists(given.settings.secrets.key_file));
}

TEST_CASE("a draft that has become a key file, which was moved, is not written over") {
  const Given given;
  const Secrets old = given.load();
  const std::string moved = given.path + "/moved.keys";
  std::filesystem::rename(given.settings.secrets.key_file, moved);
  std::filesystem::create_hard_link(moved, given.settings.secrets.key_file + ".draft");
  CHECK(given.load().keys != old.keys);
  Given other;
  other.settings.secrets.key_file = moved;
  CHECK(other.load().keys == old.keys);
  CHECK(files_in(given.path) == 2);
}

TEST_CASE("a key file holds keys in order, comments and blank lines") {
  const Given given("# made by hand\n\nkey = " + kOnes + "   # new\r\n\tkey=" + kTwos +
                    "\nhash_secret = " + kThrees);
  const Secrets secrets = given.load();
  CHECK(secrets.keys == std::vector{bytes('\x11'), bytes('\x22')});
  CHECK(secrets.hash_secret == bytes('\x33'));
}

TEST_CASE("every fault of a key file is told with its line and without the secret") {
  const std::string secret = std::string(63, 'a');
  const Given given("key = " + kOnes + "\nkey = " + secret + "\nkey = " + secret + "g\nsecret " + secret +
                    "\nhash_secret = " + kTwos + "\nhash_secret = " + kThrees + "\n");
  const conf::Faults faults = given.faults();
  REQUIRE(faults.size() == 4);
  const uint32_t lines[] = {2, 3, 4, 6};
  for (size_t i = 0; i < faults.size(); i++) {
    CHECK(faults[i].line == lines[i]);
    CHECK(faults[i].file == given.settings.secrets.key_file);
    for (const std::string& shown : {faults[i].message, faults[i].key}) {
      CHECK(shown.find("aaaa") == std::string::npos);
      CHECK(shown.find("3333") == std::string::npos);
    }
  }
  CHECK(std::get<conf::Faults>(check_secrets(given.settings)).size() == 4);
}

TEST_CASE("an empty key file is a fault, not a reason to make another") {
  const Given given("");
  REQUIRE(given.faults().size() == 1);
  CHECK(given.faults()[0].key == "key");
  CHECK(std::filesystem::file_size(given.settings.secrets.key_file) == 0);
}

TEST_CASE("a key file without hash_secret is a fault") {
  const Given given("key = " + kOnes + "\n");
  REQUIRE(given.faults().size() == 1);
  CHECK(given.faults()[0].key == "hash_secret");
}

TEST_CASE("a key file holds at most 8 keys, each once") {
  std::string text = "hash_secret = " + kOnes + "\n";
  for (char digit = '1'; digit <= '8'; ++digit) text += "key = " + std::string(64, digit) + "\n";
  CHECK(Given(text).load().keys.size() == 8);
  const conf::Faults faults = Given(text + "key = " + kTwos + "\nkey = " + std::string(64, '9')).faults();
  REQUIRE(faults.size() == 2);
  CHECK(faults[0].text().ends_with(":10:1: key: is the same as one before it, accepted: each key once"));
  CHECK(faults[1].text().ends_with(":11:1: key: is one too many, accepted: at most 8"));
}

TEST_CASE("a key file that is a folder is a fault") {
  const Given given;
  std::filesystem::create_directory(given.settings.secrets.key_file);
  CHECK(given.faults().size() == 1);
}

TEST_CASE("a key file that is a pipe is a fault, and nobody waits for its writer") {
  const Given given;
  REQUIRE(mkfifo(given.settings.secrets.key_file.c_str(), 0600) == 0);
  CHECK(given.faults().at(0).text().ends_with(": is no regular file"));
}

TEST_CASE("a key file open to everybody is used with a warning") {
  const Given given("key = " + kOnes + "\nhash_secret = " + kTwos + "\n");
  chmod(given.settings.secrets.key_file.c_str(), 0644);
  CHECK(given.load().warnings.size() == 1);
  CHECK(given.load().warnings[0].find("1111") == std::string::npos);
  CHECK(std::get<Secrets>(check_secrets(given.settings)).warnings == given.load().warnings);
}

TEST_CASE("where no key file can be made, the secrets are this process's own and a warning says so") {
  Given given;
  given.settings.secrets.key_file = given.path + "/no/such/folder/limpet.keys";
  const Secrets secrets = given.load();
  CHECK(secrets.keys.size() == 1);
  REQUIRE(secrets.warnings.size() == 1);
  CHECK(secrets.warnings[0].find(given.settings.secrets.key_file) != std::string::npos);
  CHECK(given.load().keys != secrets.keys);
}

TEST_CASE("checking makes no key file") {
  const Given given;
  CHECK(std::get<Secrets>(check_secrets(given.settings)).keys.empty());
  CHECK_FALSE(std::filesystem::exists(given.settings.secrets.key_file));
}

}  // namespace limpet::secrets_test
