#include "src/secrets.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "conf/ascii.h"
#include "conf/grammar.h"
#include "conf/read_file.h"

namespace limpet {
namespace {

constexpr size_t kMostFileBytes = 64 * conf::KiB;
constexpr std::string_view kAccepted = ", accepted: 64 hexadecimal digits, as from `openssl rand -hex 32`";

// What a key file holds, or what is wrong with it.
struct KeyFile {
  Secrets secrets;
  conf::Faults faults;
};

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    text += kHexDigits[static_cast<unsigned char>(byte) >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

class KeyFileReader {
 public:
  explicit KeyFileReader(const std::string& path) : path_(path) {}

  KeyFile read(std::string_view text) {
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      line_++;
      read_line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    line_ = 0;
    if (file_.faults.empty()) refuse_missing();
    return std::move(file_);
  }

 private:
  void read_line(std::string_view line) {
    line = line.substr(0, line.find('#'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trimmed(line);
    if (line.empty()) return;
    const size_t equals = line.find('=');
    const std::string_view name = trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || (name != "key" && name != "hash_secret")) {
      return fault("",
                   "is not a line of a key file, accepted: \"key = \" or \"hash_secret = \" and a secret");
    }
    conf::Parsed<std::string> parsed = conf::parse_secret(trimmed(line.substr(equals + 1)));
    if (parsed.value() == nullptr) return fault(name, parsed.what() + std::string(kAccepted));
    if (name == "key") {
      take_key(std::move(*parsed.value()));
    } else if (file_.secrets.hash_secret.empty()) {
      file_.secrets.hash_secret = std::move(*parsed.value());
    } else {
      fault(name, "is given twice, accepted: one");
    }
  }

  void take_key(std::string key) {
    std::vector<std::string>& keys = file_.secrets.keys;
    if (std::find(keys.begin(), keys.end(), key) != keys.end())
      return fault("key", "is the same as one before it, accepted: each key once");
    if (keys.size() == conf::Secrets::kMostKeys)
      return fault("key", "is one too many, accepted: at most " + std::to_string(conf::Secrets::kMostKeys));
    keys.push_back(std::move(key));
  }

  void refuse_missing() {
    if (file_.secrets.keys.empty()) return fault("key", "is missing" + std::string(kAccepted));
    if (file_.secrets.hash_secret.empty()) fault("hash_secret", "is missing" + std::string(kAccepted));
  }

  void fault(std::string_view key, std::string message) {
    file_.faults.push_back({.file = path_,
                            .line = line_,
                            .column = line_ == 0 ? 0u : 1u,
                            .key = std::string(key),
                            .message = std::move(message)});
  }

  const std::string& path_;
  uint32_t line_ = 0;
  KeyFile file_;
};

KeyFile unreadable(const std::string& path, std::string why) {
  KeyFile file;
  file.faults.push_back({.file = path, .key = "", .message = std::move(why)});
  return file;
}

// Null when there is no such file.
std::optional<KeyFile> read_key_file(const std::string& path) {
  const conf::FileText read = conf::read_file(path, kMostFileBytes);
  if (read.error == ENOENT || read.error == ENOTDIR) return std::nullopt;
  if (!read.wrong.empty()) return unreadable(path, read.wrong);
  if (read.text.size() == kMostFileBytes)
    return unreadable(path, "is larger than a key file, which has less than 64 KiB");

  KeyFile file = KeyFileReader(path).read(read.text);
  if ((read.mode & S_IRWXO) != 0) {
    file.secrets.warnings.push_back(
        "the key file " + path +
        " is open to every user of this machine, who could forge tokens: chmod 600 it");
  }
  return file;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno != EINTR) return false;
    text.remove_prefix(static_cast<size_t>(std::max<ssize_t>(written, 0)));
  }
  return fsync(fd) == 0;
}

// The draft of a key file, of which there is one at a time, under one name, so that what a killed process
// leaves behind is used by the next. Whoever holds its lock has it alone.
class Draft {
 public:
  explicit Draft(const std::string& key_file) : path_(key_file + ".draft") {
    while (!is_mine() && error_ == 0) open_and_lock();
  }
  ~Draft() {
    if (is_mine()) ::unlink(path_.c_str());
    if (fd_ >= 0) ::close(fd_);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  // Makes the file whole and at once: nobody sees half of it. Returns an errno.
  int become(const std::string& key_file, std::string_view text) {
    if (error_ != 0) return error_;
    if (::access(key_file.c_str(), F_OK) == 0) return EEXIST;
    if (::fchmod(fd_, kDraftMode) != 0 || ::ftruncate(fd_, 0) != 0 || !write_all(fd_, text)) return errno;
    return ::link(path_.c_str(), key_file.c_str()) == 0 ? 0 : errno;
  }

 private:
  void open_and_lock() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kDraftMode);
    if (fd_ < 0 && errno == EACCES && ::unlink(path_.c_str()) == 0) return;  // another user's, who was killed
    if (fd_ < 0 || ::flock(fd_, LOCK_EX) != 0) error_ = errno;
    // Where a process was killed before it took the draft's name away, this is a key file as well.
    struct stat status{};
    if (is_mine() && ::fstat(fd_, &status) == 0 && status.st_nlink > 1) ::unlink(path_.c_str());
  }

  // Whoever had it before may have taken its name away meanwhile.
  bool is_mine() const {
    struct stat opened{}, named{};
    return fd_ >= 0 && error_ == 0 && ::fstat(fd_, &opened) == 0 && ::stat(path_.c_str(), &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
  }

  static constexpr mode_t kDraftMode = S_IRUSR | S_IWUSR;

  const std::string path_;
  int fd_ = -1;
  int error_ = 0;
};

// Of two who make it the first wins. Returns an errno: EEXIST when somebody else was first.
int make_key_file(const std::string& path, const Secrets& secrets) {
  const std::string text =
      "# Limpet's secrets: who has them can forge session tokens. Balancers that share sessions share this "
      "file.\n"
      "# To rotate, put a new key line first and keep the old one until its tokens have run out.\n"
      "key = " +
      hex(secrets.keys.front()) + "\nhash_secret = " + hex(secrets.hash_secret) + "\n";
  return Draft(path).become(path, text);
}

std::variant<Secrets, conf::Faults> taken(KeyFile file) {
  if (!file.faults.empty()) return std::move(file.faults);
  return std::move(file.secrets);
}

std::string unmade(const std::string& what, const std::string& path, int error) {
  return what + " the key file " + path + ": " + std::strerror(error) +
         "; session tokens and affinity hashes will not outlive the process: name a file in a folder that "
         "can "
         "be written in `secrets.key_file` (\"/var/lib/limpet/limpet.keys\" in the unit), make this folder "
         "writable, or set `secrets.keys` and `secrets.hash_secret`";
}

// Why no file can be made beside this one, as an errno; 0: one can.
int folder_error(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return ::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0 ? 0 : errno;
}

std::variant<Secrets, conf::Faults> read_or_make(const std::string& path) {
  if (std::optional<KeyFile> file = read_key_file(path)) return taken(std::move(*file));
  Secrets made{.keys = {random_secret()}, .hash_secret = random_secret(), .warnings = {}};
  const int error = make_key_file(path, made);
  if (error == EEXIST) {
    if (std::optional<KeyFile> file = read_key_file(path)) return taken(std::move(*file));
  }
  if (error != 0) {
    made.warnings.push_back(unmade("cannot make", path, error));
  }
  return made;
}

}  // namespace

std::string random_secret() {
  std::string bytes(Secrets::kBytes, '\0');
  // The one failure is a system without entropy; tokens signed by a guessable key would be worse than no
  // start.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) != 1)
    std::abort();
  return bytes;
}

std::variant<Secrets, conf::Faults> load_secrets(const conf::Settings& settings) {
  if (settings.secrets.keys.empty()) return read_or_make(settings.secrets.key_file);
  return check_secrets(settings);
}

std::variant<Secrets, conf::Faults> check_secrets(const conf::Settings& settings) {
  const conf::Secrets& wanted = settings.secrets;
  if (wanted.keys.empty()) {
    if (std::optional<KeyFile> file = read_key_file(wanted.key_file)) return taken(std::move(*file));
    Secrets none;
    if (const int error = folder_error(wanted.key_file))
      none.warnings.push_back(unmade("a start by who checks here could not make", wanted.key_file, error));
    return none;
  }
  return Secrets{.keys = wanted.keys, .hash_secret = wanted.hash_secret, .warnings = {}};
}

}  // namespace limpet
