#include "src/secrets.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace limpet {
namespace {

constexpr size_t kMostFileBytes = 64 * conf::KiB;
constexpr std::string_view kAccepted = "key = <64 hex digits> or hash_secret = <64 hex digits>";
constexpr std::string_view kHowToMake = "(`openssl rand -hex 32` makes one)";

// What a key file holds, or what is wrong with it.
struct KeyFile {
  Secrets secrets;
  conf::Faults faults;
};

std::string random_secret() {
  std::string bytes(Secrets::kBytes, '\0');
  // The one failure is a system without entropy; tokens signed by a guessable key would be worse than no
  // start.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) != 1)
    std::abort();
  return bytes;
}

std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() != 2 * Secrets::kBytes) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = OPENSSL_hexchar2int(static_cast<unsigned char>(text[i]));
    const int low = OPENSSL_hexchar2int(static_cast<unsigned char>(text[i + 1]));
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t from = text.find_first_not_of(kSpace);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kSpace) - from + 1);
}

class KeyFileReader {
 public:
  KeyFileReader(const std::string& path, bool wants_hash_secret)
      : path_(path), wants_hash_secret_(wants_hash_secret) {}

  KeyFile read(std::string_view text) {
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      line_++;
      read_line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    line_ = 0;
    if (file_.faults.empty() && file_.secrets.keys.empty()) {
      fault("key", "missing; wanted is at least one line key = <64 hex digits> " + std::string(kHowToMake));
    }
    if (file_.faults.empty() && file_.secrets.hash_secret.empty() && wants_hash_secret_) {
      fault("hash_secret",
            "missing; wanted is one line hash_secret = <64 hex digits> " + std::string(kHowToMake));
    }
    return std::move(file_);
  }

 private:
  void read_line(std::string_view line) {
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) return;
    const size_t equals = line.find('=');
    const std::string_view name = trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || (name != "key" && name != "hash_secret")) {
      return fault("", "not a line of a key file; accepted is " + std::string(kAccepted));
    }
    const std::optional<std::string> value = from_hex(trimmed(line.substr(equals + 1)));
    if (!value) return fault(name, "not 64 hex digits " + std::string(kHowToMake));
    if (name == "key") {
      file_.secrets.keys.push_back(*value);
    } else if (file_.secrets.hash_secret.empty()) {
      file_.secrets.hash_secret = *value;
    } else {
      fault(name, "given twice; accepted is one");
    }
  }

  void fault(std::string_view key, std::string message) {
    file_.faults.push_back({.file = path_,
                            .line = line_,
                            .column = line_ == 0 ? 0u : 1u,
                            .key = std::string(key),
                            .message = std::move(message)});
  }

  const std::string& path_;
  const bool wants_hash_secret_;
  uint32_t line_ = 0;
  KeyFile file_;
};

KeyFile unreadable(const std::string& path, std::string why) {
  KeyFile file;
  file.faults.push_back({.file = path, .key = "", .message = "cannot be read: " + std::move(why)});
  return file;
}

// Null when there is no such file.
std::optional<KeyFile> read_key_file(const conf::Secrets& wanted) {
  const std::string& path = wanted.key_file;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (fd < 0) return unreadable(path, std::strerror(errno));
  struct stat status {};
  fstat(fd, &status);
  std::string text(kMostFileBytes, '\0');
  size_t size = 0;
  ssize_t got = 0;
  while (size < text.size() && (got = ::read(fd, text.data() + size, text.size() - size)) > 0) {
    size += static_cast<size_t>(got);
  }
  const int error = got < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) return unreadable(path, std::strerror(error));
  if (size == kMostFileBytes) return unreadable(path, "it is too large for a key file");

  KeyFile file = KeyFileReader(path, wanted.hash_secret.empty()).read(std::string_view(text).substr(0, size));
  if ((status.st_mode & S_IRWXO) != 0) {
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

// Makes the file whole and at once: nobody sees half of it, and of two who make it the first wins. Returns an
// errno: EEXIST when somebody else was first.
int make_key_file(const std::string& path, const Secrets& secrets) {
  std::string draft = path + ".XXXXXX";
  const int fd = mkostemp(draft.data(), O_CLOEXEC);  // mode 0600
  if (fd < 0) return errno;
  const std::string text =
      "# Limpet's secrets: who has them can forge session tokens. Balancers that share sessions share this "
      "file.\n"
      "# To rotate, put a new key line first and keep the old one until its tokens have run out.\n"
      "key = " +
      hex(secrets.keys.front()) + "\nhash_secret = " + hex(secrets.hash_secret) + "\n";
  int error = write_all(fd, text) ? 0 : errno;
  ::close(fd);
  if (error == 0 && ::link(draft.c_str(), path.c_str()) != 0) error = errno;
  ::unlink(draft.c_str());
  return error;
}

std::variant<Secrets, conf::Faults> read_or_make(const conf::Secrets& wanted) {
  if (std::optional<KeyFile> file = read_key_file(wanted)) {
    if (!file->faults.empty()) return std::move(file->faults);
    return std::move(file->secrets);
  }
  Secrets made{.keys = {random_secret()}, .hash_secret = random_secret(), .warnings = {}};
  const int error = make_key_file(wanted.key_file, made);
  if (error == EEXIST) {
    if (std::optional<KeyFile> file = read_key_file(wanted)) {
      if (!file->faults.empty()) return std::move(file->faults);
      return std::move(file->secrets);
    }
  }
  if (error != 0) {
    made.warnings.push_back(
        "cannot make the key file " + wanted.key_file + ": " + std::strerror(error) +
        "; session tokens and affinity hashes will not outlive this process: make its folder writable, or "
        "set secrets.keys and secrets.hash_secret");
  }
  return made;
}

bool is_hashed(const conf::Pool& pool) {
  const auto hashes = [](conf::AffinityKind kind) { return kind != conf::AffinityKind::cookie; };
  return pool.placement == conf::Placement::hash ||
         std::any_of(pool.affinity.begin(), pool.affinity.end(), hashes);
}

}  // namespace

std::variant<Secrets, conf::Faults> load_secrets(const conf::Settings& settings) {
  const conf::Secrets& wanted = settings.secrets;
  if (wanted.keys.empty()) {
    auto loaded = read_or_make(wanted);
    if (auto* secrets = std::get_if<Secrets>(&loaded); secrets != nullptr && !wanted.hash_secret.empty()) {
      secrets->hash_secret = wanted.hash_secret;
    }
    return loaded;
  }
  Secrets secrets{.keys = wanted.keys, .hash_secret = wanted.hash_secret, .warnings = {}};
  if (secrets.hash_secret.empty()) {
    secrets.hash_secret = random_secret();
    if (std::any_of(settings.pools.begin(), settings.pools.end(), is_hashed)) {
      secrets.warnings.push_back(
          "secrets.keys is set and secrets.hash_secret is not: affinity hashes will not outlive this "
          "process, nor agree with "
          "another balancer's");
    }
  }
  return secrets;
}

conf::Faults check_secrets(const conf::Settings& settings) {
  if (!settings.secrets.keys.empty()) return {};
  std::optional<KeyFile> file = read_key_file(settings.secrets);
  return file ? std::move(file->faults) : conf::Faults{};
}

}  // namespace limpet
